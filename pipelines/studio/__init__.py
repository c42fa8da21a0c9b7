"""The web page: photos in, eight pictures out, at the click of a button. `pipelines.studio.server.serve` runs it."""
