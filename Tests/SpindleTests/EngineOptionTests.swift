// SPDX-License-Identifier: Apache-2.0

import Spindle
import Testing

@Suite
struct EngineOptionTests {
    @Test(
        "every option reads back what it prints, and refuses nonsense with what is allowed",
        arguments: EngineOption.all.map(\.name)
    )
    func roundTrip(name: String) throws {
        let option = try #require(EngineOption.named(name))
        var configuration = EngineConfiguration()
        let before = option.value(in: configuration)
        try option.set(before, in: &configuration)
        #expect(option.value(in: configuration) == before)
        #expect(configuration == EngineConfiguration())
        if name != "near" {
            let error = #expect(throws: OptionError.self) { try option.set("nonsense?", in: &configuration) }
            #expect(error?.description.contains("nonsense?") == true)
            #expect(error?.description.contains(option.allowed) == true)
        }
        #expect(!option.summary.isEmpty && !option.tradeOff.isEmpty)
    }

    @Test("names are unique and make unique environment variables")
    func unique() {
        #expect(Set(EngineOption.all.map(\.environmentName)).count == EngineOption.all.count)
        #expect(EngineOption.named("idle-spin")?.environmentName == "SPINDLE_IDLE_SPIN")
    }

    @Test("sizes and times take units and are printed in their shortest exact form")
    func units() {
        #expect(ByteSize.parse("64KiB") == 65536)
        #expect(ByteSize.parse("1m") == 1 << 20)
        #expect(ByteSize.parse("9223372036854775807G") == nil)
        #expect(ByteSize.parse("-1") == nil)
        #expect(ByteSize.text(65536) == "64KiB")
        #expect(ByteSize.text(65537) == "65537")
        #expect(TimeText.parse("50us") == .microseconds(50))
        #expect(TimeText.parse("1.5s") == .milliseconds(1500))
        #expect(TimeText.parse("5") == nil)
        #expect(TimeText.parse("0") == .zero)
        #expect(TimeText.text(.milliseconds(1500)) == "1500ms")
        #expect(TimeText.text(.seconds(120)) == "2m")
    }

    @Test("contradictory limits are refused by the option to change")
    func relations() {
        var configuration = EngineConfiguration()
        configuration.limits.writeLowWatermarkBytes = configuration.limits.writeHighWatermarkBytes
        #expect(throws: OptionError.self) { try configuration.validate() }
        configuration = EngineConfiguration()
        configuration.limits.mailboxCapacity = 1000
        #expect(throws: OptionError.self) { try configuration.validate() }
        configuration = EngineConfiguration()
        configuration.limits.writeHighWatermarkBytes = configuration.limits.writeLimitBytes
        #expect(throws: OptionError.self) { try configuration.validate() }
    }
}
