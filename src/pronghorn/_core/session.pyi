from pronghorn._core.exchange import Exchange, Responder
from pronghorn._core.wire import Wire

class Channel(Wire): ...
class Acceptor(Responder): ...

class Session(Exchange):
    subprotocols: list[str]
