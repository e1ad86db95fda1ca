// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One axis of a plot: from where to where, and how that is divided.
struct PlotAxis {
    enum Scale {
        case linear
        /// By powers of ten; values above 0.
        case logarithmic
    }

    let label: String
    let scale: Scale
    let low: Double
    let high: Double
    /// What stands at a value.
    var text: (Double) -> String = PlotAxis.short

    /// An axis that has room for all values: from 0 or from a power of ten.
    init(_ label: String, _ scale: Scale, of values: [Double], text: @escaping (Double) -> String = PlotAxis.short) {
        self.label = label
        self.scale = scale
        self.text = text
        switch scale {
        case .linear:
            low = 0
            high = PlotAxis.roundUp(values.max() ?? 1)
        case .logarithmic:
            let positive = values.filter { $0 > 0 }
            low = pow(10, floor(log10(positive.min() ?? 1)))
            high = max(low * 10, pow(10, ceil(log10(positive.max() ?? 10))))
        }
    }

    /// Where a value stands, 0...1.
    func position(_ value: Double) -> Double {
        switch scale {
        case .linear: high > low ? (value - low) / (high - low) : 0
        case .logarithmic: log10(max(value, low) / low) / log10(high / low)
        }
    }

    /// Where lines are drawn.
    var ticks: [Double] {
        switch scale {
        case .linear: (0...4).map { low + (high - low) * Double($0) / 4 }
        case .logarithmic: (0...Int(log10(high / low).rounded())).map { low * pow(10, Double($0)) }
        }
    }

    /// The next number of 1, 2, 4, 5 or 8 times a power of ten.
    private static func roundUp(_ value: Double) -> Double {
        guard value > 0 else { return 1 }
        let power = pow(10, floor(log10(value)))
        return [1, 2, 4, 5, 8, 10].map { $0 * power }.first { $0 >= value * 0.999_999 } ?? 10 * power
    }

    /// Three digits and k or M.
    static func short(_ value: Double) -> String {
        func digits(_ value: Double) -> String {
            let rounded = value >= 100 ? value.rounded() : (value * 100).rounded() / 100
            return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
        }
        if value >= 1e6 { return digits(value / 1e6) + "M" }
        return value >= 1e3 ? digits(value / 1e3) + "k" : digits(value)
    }
}

/// A plot as SVG, in the colours of the page that it stands in.
struct Plot {
    /// A line of points, named in the legend.
    struct Line {
        let name: String
        let points: [(x: Double, y: Double)]
    }

    let title: String
    let x: PlotAxis
    let y: PlotAxis
    var lines: [Line] = []
    /// Bars, by name, from left to right.
    var bars: [(name: String, value: Double)] = []
    /// A place on the x axis with something to say.
    var mark: (x: Double, text: String)?

    private static let (width, height) = (640.0, 300.0)
    private static let (left, right, top, bottom) = (72.0, 40.0, 34.0, 56.0)

    private func place(_ x: Double, _ y: Double) -> (Double, Double) {
        (
            Plot.left + x * (Plot.width - Plot.left - Plot.right),
            Plot.height - Plot.bottom - y * (Plot.height - Plot.top - Plot.bottom)
        )
    }

    var svg: String {
        var parts = [text(Plot.left, 18, title, "title")] + grid
        for (index, line) in lines.enumerated() { parts += draw(line, index) }
        parts += drawBars
        if let mark {
            let x = place(self.x.position(mark.x), 0).0
            parts.append(segment("mark", from: (x, place(0, 1).1), to: (x, place(0, 0).1)))
            let isRight = self.x.position(mark.x) > 0.6
            parts.append(text(isRight ? x - 4 : x + 4, place(0, 1).1 + 12, mark.text, isRight ? "mark y" : "mark"))
        }
        let box = "0 0 \(Int(Plot.width)) \(Int(Plot.height))"
        return HTML.element("svg", ["viewBox": box, "role": "img", "aria-label": title], parts.joined(separator: "\n"))
    }

    private var grid: [String] {
        var parts: [String] = []
        for tick in y.ticks {
            let (start, height) = place(0, y.position(tick))
            parts.append(segment("grid", from: (start, height), to: (place(1, 0).0, height)))
            parts.append(text(start - 6, height + 4, y.text(tick), "y"))
        }
        let (middle, bottom) = place(0.5, 0)
        if bars.isEmpty {
            for tick in x.ticks { parts.append(text(place(x.position(tick), 0).0, bottom + 20, x.text(tick), "x")) }
        }
        parts.append(text(middle, bottom + 44, x.label, "x"))
        parts.append(text(Plot.width - Plot.right, 18, y.label, "y"))
        return parts
    }

    private func draw(_ line: Line, _ index: Int) -> [String] {
        let points = line.points.map { place(x.position($0.x), y.position($0.y)) }
        let path = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
        var parts = [HTML.element("polyline", ["class": "line c\(index)", "points": path])]
        if line.points.count <= 40, x.scale == .linear {
            for (point, (px, py)) in zip(line.points, points) {
                let tip = HTML.element(
                    "title",
                    [:],
                    HTML.escape("\(line.name): \(x.text(point.x)), \(y.text(point.y))")
                )
                let attributes: KeyValuePairs = ["class": "c\(index)", "cx": number(px), "cy": number(py), "r": "3"]
                parts.append(HTML.element("circle", attributes, tip))
            }
        }
        if lines.count > 1, let last = points.last {
            parts.append(text(last.0 - 4, last.1 - 6, line.name, "y c\(index)"))
        }
        return parts
    }

    private var drawBars: [String] {
        let bottom = place(0, 0).1
        return bars.enumerated().flatMap { index, bar in
            let (left, top) = place((Double(index) + 0.15) / Double(bars.count), y.position(bar.value))
            let right = place((Double(index) + 0.85) / Double(bars.count), 0).0
            let box: KeyValuePairs = [
                "class": "c0", "x": number(left), "y": number(top), "width": number(right - left),
                "height": number(bottom - top),
            ]
            return [
                HTML.element("rect", box),
                text((left + right) / 2, bottom + 20, bar.name, "x"),
                text((left + right) / 2, top - 4, y.text(bar.value), "x"),
            ]
        }
    }

    private func segment(_ kind: String, from start: (Double, Double), to end: (Double, Double)) -> String {
        let attributes: KeyValuePairs = [
            "class": kind, "x1": number(start.0), "y1": number(start.1), "x2": number(end.0), "y2": number(end.1),
        ]
        return HTML.element("line", attributes)
    }

    private func text(_ x: Double, _ y: Double, _ words: String, _ classes: String) -> String {
        HTML.element("text", ["class": classes, "x": number(x), "y": number(y)], HTML.escape(words))
    }

    private func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
