// SPDX-License-Identifier: Apache-2.0

import SpindleTopology

/// A benchmark's result as one page that needs nothing else: no network, no script; light and dark, wide and narrow.
struct ReportPage {
    let title: String
    /// What was run, and what is not as it should be.
    let lines: [String], warnings: [String]
    /// Figures by the names that they have in the JSON, as people read them.
    let figures: [(name: String, label: String, value: String)]
    let plots: [Plot]
    let facts: [(name: String, value: String)]
    /// What gives the same again.
    let command: String
    let json: JSONValue

    var html: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <title>\(HTML.escape(title))</title>
        <style>\(ReportPage.style)</style>
        </head>
        <body>
        <h1>\(HTML.escape(title))</h1>
        \(lines.map { HTML.element("p", [:], HTML.escape($0)) }.joined(separator: "\n"))
        \(warnings.map { HTML.element("p", ["class": "warning"], HTML.escape($0)) }.joined(separator: "\n"))
        \(table(figures.map(row)))
        \(plots.map { HTML.element("figure", [:], $0.svg) }.joined(separator: "\n"))
        <h2>Machine</h2>
        \(table(facts.map { head($0.name) + HTML.element("td", [:], HTML.escape($0.value)) }))
        <h2>Again</h2>
        <pre>\(HTML.escape(command))</pre>
        <script type="application/json" id="result">\(ReportPage.inScript(json.indentedText))</script>
        </body>
        </html>

        """
    }

    /// The number itself goes along, for programs that read the page.
    private func row(_ figure: (name: String, label: String, value: String)) -> String {
        let exact = json.member(at: figure.name)?.compactText ?? ""
        let attributes: KeyValuePairs = ["data-name": figure.name, "data-value": exact]
        return head(figure.label) + HTML.element("td", attributes, HTML.escape(figure.value))
    }

    private func head(_ label: String) -> String { HTML.element("th", [:], HTML.escape(label)) }

    private func table(_ rows: [String]) -> String {
        HTML.element("table", [:], rows.map { HTML.element("tr", [:], $0) }.joined(separator: "\n"))
    }

    /// In a script element nothing is escaped by the page's rules; JSON has its own.
    private static func inScript(_ json: String) -> String {
        json.split(separator: "<", omittingEmptySubsequences: false).joined(separator: "\\u003c")
    }

    private static let style = """
        :root { color-scheme: light dark; --back: #fff; --ink: #1b1f24; --soft: #667; --grid: #dde; --warn: #a40;
          --c0: #1565c0; --c1: #c2185b; --c2: #00897b; --c3: #ef6c00; }
        @media (prefers-color-scheme: dark) { :root { --back: #14171c; --ink: #e6e8eb; --soft: #99a; --grid: #333a45;
          --warn: #fa6; --c0: #64b5f6; --c1: #f48fb1; --c2: #4db6ac; --c3: #ffb74d; } }
        body { font: 15px/1.5 system-ui, sans-serif; background: var(--back); color: var(--ink); margin: 0 auto;
          max-width: 60rem; padding: 1rem; }
        h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { margin: .3rem 0; }
        .warning { color: var(--warn); font-weight: 600; }
        table { border-collapse: collapse; margin: 1rem 0; max-width: 100%; }
        th { text-align: left; font-weight: 500; color: var(--soft); padding: .15rem 1.5rem .15rem 0;
          vertical-align: top; }
        td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
        pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--grid); border-radius: .3rem; }
        figure { margin: 1.2rem 0; } svg { width: 100%; height: auto; display: block; }
        svg text { font-size: 12px; fill: var(--soft); }
        svg .title { fill: var(--ink); font-weight: 600; font-size: 14px; }
        @media (max-width: 600px) { svg text { font-size: 19px; } svg .title { font-size: 21px; } }
        svg .x { text-anchor: middle; } svg .y { text-anchor: end; }
        svg .grid { stroke: var(--grid); } svg line.mark { stroke: var(--warn); stroke-dasharray: 4 3; }
        svg text.mark { fill: var(--warn); } svg .line { fill: none; stroke-width: 2; }
        svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); }
        svg .c2 { fill: var(--c2); } svg .c3 { fill: var(--c3); }
        svg .line.c0 { fill: none; stroke: var(--c0); } svg .line.c1 { fill: none; stroke: var(--c1); }
        svg .line.c2 { fill: none; stroke: var(--c2); } svg .line.c3 { fill: none; stroke: var(--c3); }
        """
}

extension JSONValue {
    /// The value that names lead to, divided by slashes; nil when there is none.
    func member(at path: String) -> JSONValue? {
        path.split(separator: "/").reduce(self as JSONValue?) { value, name in
            guard case .object(let members) = value else { return nil }
            return members.first { $0.name == name }?.value
        }
    }
}
