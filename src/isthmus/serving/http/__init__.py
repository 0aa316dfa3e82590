"""The service: models behind HTTP. `isthmus serve` is this and a server."""

from isthmus.serving.http.application import app as app
from isthmus.serving.http.limits import Limits as Limits
