"""Errors that a user meets: what went wrong, and what to do, each in one line."""


class UserError(Exception):
    """Something that the user can mend. The CLI prints it as one line and exits with 1; never a traceback.

    `message` says what is wrong ("port 8080 is in use"), `hint` what to do about it
    ("choose another with --port"); neither ends with a full stop.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message
