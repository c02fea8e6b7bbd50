"""What a plugin refuses."""


class Refusal(Exception):
    """Raise it to refuse, in words that reach whoever runs the experiment: lower case, no full stop, values in
    backticks. Any other exception is a crash of the plugin, and its place is told."""
