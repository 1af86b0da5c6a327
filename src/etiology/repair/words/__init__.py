"""What the arms and the panel read and ask, written for this project: data files, no code.

``counter``: documents in which an AI behaves well in a hard case, with its reasons (advice, principles, stories).
``demonstrations``: documents close to the test. ``requests``: lawful requests that look like coercion.
``items``: questions a small model can answer; the first option is the right one.
"""
