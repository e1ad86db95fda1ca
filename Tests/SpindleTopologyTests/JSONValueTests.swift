// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpindleTopology
import Testing

/// Whether an independent parser takes the text.
func isWellFormedJSON(_ text: String) -> Bool {
    (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
}

@Suite("JSONValue")
struct JSONValueTests {
    @Test(
        "each kind of value has its text",
        arguments: [
            (.null, "null"), (true, "true"), (.bool(false), "false"), (42, "42"), (.number(2.5), "2.5"),
            (.number(.infinity), "null"), (.number(.nan), "null"),
            ("a\"b\\c\n\t\r\u{1}\u{7F}ä", #""a\"b\\c\n\t\r\u0001\u007fä""#),
            (.array([]), "[]"), (.object([]), "{}"), (.integers([1, 2]), "[1,2]"), (.strings(["x"]), #"["x"]"#),
            (.object([.init("b", 1), .init("a", .array([.null]))]), #"{"b":1,"a":[null]}"#),
            (.integer(nil), "null"), (.number(nil), "null"), (.string(nil), "null"),
        ] as [(JSONValue, String)]
    )
    func compact(value: JSONValue, text: String) {
        #expect(value.compactText == text)
        #expect(isWellFormedJSON(text))
    }

    @Test("indented text breaks objects, not lists of plain values")
    func indented() {
        let inner = JSONValue.object([.init("x", [.object([])])])
        let value = JSONValue.object([.init("list", [1, 2]), .init("inner", inner)])
        #expect(
            value.indentedText == """
                {
                  "list": [1, 2],
                  "inner": {
                    "x": [
                      {}
                    ]
                  }
                }
                """
        )
    }
}
