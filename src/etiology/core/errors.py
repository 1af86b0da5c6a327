"""What can go wrong, as a tree. Each message says what, where and what to do; the command line prints it and exits 2.

EtiologyError
├── StudyFileError     study.yaml is missing, malformed, or holds a wrong key or value
├── CorpusError        the corpus can't be read, or a document in it can't be used
├── ScenarioError      a scenario file can't be read, or a scenario lacks a field
├── ModelError         the model can't be found, read, split or trained
├── StoreError         the study folder is of another version, locked, full or damaged
├── ScanError          a scan's plan, policy or shard doesn't fit, or what it needs is not installed
├── TranscriptError    a transcript can't be read, or holds no turn of the assistant
├── KeyFileError      a key can't be read, or what signs and seals is not installed
└── EvidenceError      stored evidence does not give the number that was published
"""


class EtiologyError(Exception):
    """Base of every error that a user can cause or mend."""


class StudyFileError(EtiologyError):
    """study.yaml is missing, malformed, or holds a wrong key or value."""


class CorpusError(EtiologyError):
    """The corpus can't be read, or a document in it can't be used."""


class ScenarioError(EtiologyError):
    """A scenario file can't be read, or a scenario lacks a field."""


class ModelError(EtiologyError):
    """The model can't be found, read, split or trained."""


class StoreError(EtiologyError):
    """The study folder is of another version, in use, full or damaged."""


class TranscriptError(EtiologyError):
    """A transcript can't be read, or holds no turn of the assistant."""


class KeyFileError(EtiologyError):
    """A key can't be read, or what signs and seals is not installed."""


class EvidenceError(EtiologyError):
    """Stored evidence does not give the number that was published."""


class ScanError(EtiologyError):
    """A scan's plan, policy or shard doesn't fit, or what it needs is not installed."""
