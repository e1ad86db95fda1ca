// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore

/// Who writes to a connection as fast as it takes the bytes.
enum RegisteredProducer {
    case push(any PushProducer)
    case pull(any PullProducer)

    func stop() {
        switch self {
        case .push(let producer): producer.stopProducing()
        case .pull(let producer): producer.stopProducing()
        }
    }
}

extension Connection {
    func register(_ producer: any PushProducer) throws(ProducerError) {
        guard try take(.push(producer)) else { return }
        if state.flags.contains(.aboveWatermark) { producer.pauseProducing() }
    }

    func register(_ producer: any PullProducer) throws(ProducerError) {
        guard try take(.pull(producer)) else { return }
        pullLater()
    }

    func unregisterProducer() {
        reactor.preconditionCurrent()
        extras?.producer = nil
        state.flags.remove(.hasProducer)
    }

    /// - Returns: False when nothing can be written any more: the producer was stopped.
    private func take(_ producer: RegisteredProducer) throws(ProducerError) -> Bool {
        reactor.preconditionCurrent()
        guard state.acceptsWrites else {
            producer.stop()
            return false
        }
        guard extras?.producer == nil else { throw ProducerError() }
        makeExtras().producer = producer
        state.flags.insert(.hasProducer)
        return true
    }

    /// Asks for the next piece in a later turn; again when what is unsent by then has gone.
    private func pullLater() {
        reactor.callSoon { [self] in
            guard case .pull(let producer)? = extras?.producer, state.acceptsWrites, queue.isEmpty else { return }
            var goesOn = true
            reactor.call(self) { _ in goesOn = producer.produce() }
            // It may have been replaced meanwhile.
            guard case .pull(let present)? = extras?.producer, present === producer else { return }
            if !goesOn {
                unregisterProducer()
            } else if queue.isEmpty {
                pullLater()
            }
        }
    }

    /// Tells a push producer of the high and low watermark, behind the protocol.
    func tellProducer(toPause: Bool) {
        guard state.phase == .open, case .push(let producer)? = extras?.producer else { return }
        reactor.enter(self) { _ in if toPause { producer.pauseProducing() } else { producer.resumeProducing() } }
    }

    /// Nothing is unsent any more.
    func producerHasRoom() { if case .pull? = extras?.producer { pullLater() } }

    /// Nothing that it would write can arrive.
    func stopProducer() {
        guard let producer = extras?.producer.take() else { return }
        state.flags.remove(.hasProducer)
        producer.stop()
    }
}
