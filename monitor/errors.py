"""The errors a person can do something about: each says what and where, and what to do."""


class MonitorError(Exception):
    """A failure whose message is meant for the person at the screen.

    Args:
        message: What happened and where, with the offending value in quotes.
        hint: What to do about it, as a whole sentence.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LogDirectoryNotFound(MonitorError):
    """The log directory named by the user does not exist or is not a directory."""


class RunNotFound(MonitorError):
    """No run of that name lies below the log directories."""


class NotAllowed(MonitorError):
    """The path lies outside the log directories the monitor was started with."""


class NotReadable(MonitorError):
    """The operating system refuses to let us read a directory or file."""


class SettingInvalid(MonitorError):
    """A settings file cannot be parsed, or a key or value in it is wrong."""


class UsageInvalid(MonitorError):
    """The options of a command do not fit together."""


class ReportNotWritten(MonitorError):
    """A report, plot or export could not be written to the file named."""


class DemoNotStarted(MonitorError):
    """The demo cannot write into the directory named."""
