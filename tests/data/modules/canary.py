"""The module that hostile payloads name. Importing it or calling it is noticed; nothing else happens."""

tripped = 0


def trip() -> str:
    global tripped
    tripped += 1
    return "tripped"


def quiet() -> None:
    return None
