"""A classifier over HTTP: what bin/serve runs.

`served` is what classifies, `uploads` makes images of a request's body, `batching` puts those of several requests
together, `app` answers, `guard` stands before it, `metrics` counts, and `server` has the socket, limits of
time and signals.

Starlette, uvicorn, python-multipart and prometheus-client (``pip install 'slimft[serve]'``) are imported by this
package alone.
"""

# What describes an export, in its directory.
CARD = "model_card.json"
