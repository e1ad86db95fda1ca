// SPDX-License-Identifier: Apache-2.0

/// Text and elements of a page.
enum HTML {
    static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// An element whose attributes are escaped here and whose content is a page's text already.
    static func element(_ name: String, _ attributes: KeyValuePairs<String, String>, _ content: String = "") -> String {
        let words = attributes.map { " \($0.key)=\"\(escape($0.value))\"" }.joined()
        return "<\(name)\(words)>\(content)</\(name)>"
    }
}
