"""For those who test what they built on the protocol.

`ihproto.testing.strategies` draws messages, sessions and recordings with Hypothesis, the legal ones and the broken
ones; `ihproto.testing.webm` writes small recordings without it. Nothing else of the package imports this one; the
extra `test` brings what it needs.
"""
