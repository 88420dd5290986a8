"""What an endpoint answers (bodies, answers, app), and the HTTP server that carries it. NumPy and Arrow only."""

from fraud_utils.serving.app import App, Request, SettingError, Settings
from fraud_utils.serving.server import run

__all__ = ["App", "Request", "SettingError", "Settings", "run"]
