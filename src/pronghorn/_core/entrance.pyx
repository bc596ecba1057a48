# cython: binding=False
# The first wire of a connection. See entrance.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy
from libc.string cimport strlen

from .http1 cimport Http1
from .preface cimport BLOCK, COMPLETE, INCOMPLETE, LINE, LONGEST_PREFACE, Preface, Verdict, read_preface
from .tls cimport Tls

cdef enum:
    PLACES = 64                 # addresses of the machine that are remembered

cdef dict VERSIONS = {"off": 0, "on": LINE | BLOCK, "v1": LINE, "v2": BLOCK}


cdef class Entrance:
    """template: the scope of the listener's requests. certificates: makes it TLS; see tls.Shelter. proxy_protocol: off, on,
    v1 or v2. allowed: a container of the hosts that may speak it; the host of a unix socket is "unix"."""

    def __init__(self, Service service, dict template, certificates=None, proxy_protocol="off", allowed=()):
        self.service = service
        self.template = template
        self.versions = <Versions> <int> VERSIONS[proxy_protocol]
        self.allowed = allowed
        server = template["server"]
        if server is not None and server[0] in ("0.0.0.0", "::"):
            self.places = {}
        if certificates is not None:
            self.shelter = Shelter.__new__(Shelter, service, template, certificates)

    cdef Entrance at(self, str host):
        """The entrance for those who have come in at this address of the machine: it is what `server` says."""
        cdef Entrance entrance = self.places.get(host)
        if entrance is None:
            entrance = Entrance.__new__(Entrance)
            entrance.service = self.service
            entrance.template = PyDict_Copy(self.template)
            entrance.template["server"] = (host, self.template["server"][1])
            entrance.versions = self.versions
            entrance.allowed = self.allowed
            if self.shelter is not None:
                entrance.shelter = Shelter.__new__(
                    Shelter, self.service, entrance.template, self.shelter.certificates
                )
            if len(self.places) < PLACES:
                self.places[host] = entrance
        return entrance

    cdef Wire wire(self, Edge edge, uint32_t jitter):
        """jitter: any number that differs from one connection to the next."""
        cdef Lobby lobby
        if self.versions == 0:
            return self.behind_preface(edge, jitter, False)
        lobby = Lobby.__new__(Lobby)
        lobby.entrance = self
        lobby.edge = edge
        lobby.jitter = jitter
        return lobby

    cdef Wire behind_preface(self, Edge edge, uint32_t jitter, bint tls):
        """tls: the proxy says that its client speaks TLS."""
        cdef dict template = self.template
        if self.shelter is not None:
            return Tls.__new__(Tls, self.shelter, edge, jitter)
        if tls:
            template = PyDict_Copy(template)
            template["scheme"] = "https"
        return Http1.__new__(Http1, self.service, edge, template, jitter)


cdef class Lobby(Wire):

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        cdef Entrance entrance = self.entrance
        cdef Edge edge = self.edge
        cdef Preface preface
        cdef Verdict verdict
        cdef Wire wire
        cdef bytes whole = None
        if self.over:
            return
        try:
            if not self.begun:
                peer = edge.client()
                if ("unix" if peer is None else peer[0]) not in entrance.allowed:
                    self.turn_away("is not allowed to speak it")
                    return
            else:
                whole = self.begun + data[:length]
                data = PyBytes_AS_STRING(whole)
                length = PyBytes_GET_SIZE(whole)
            verdict = read_preface(data, length, entrance.versions, &preface)
            if verdict == INCOMPLETE and length < LONGEST_PREFACE:
                if not self.begun:
                    edge.deadline(entrance.service.ticks.head)
                self.begun = whole if whole is not None else data[:length]
                return
            if verdict != COMPLETE:
                self.turn_away("does not speak it")
                return
            if preface.nameless:
                edge.introduce(None)
            elif not preface.local:
                edge.introduce((preface.host[:strlen(preface.host)].decode("ascii"), preface.port))
            wire = entrance.behind_preface(edge, self.jitter, preface.tls)
        except BaseException as error:
            entrance.service.application.log().error("Exception while reading a preface\n", exc_info=error)
            edge.abort()
            return
        self.begun = None
        self.over = True
        edge.switch(wire)
        edge.deadline(entrance.service.ticks.first_byte)
        if length > preface.length:
            wire.feed(data + preface.length, length - preface.length, None)

    cdef void turn_away(self, str why) noexcept:
        self.over = True
        peer = self.edge.client()
        host = "the peer of a unix socket" if peer is None else peer[0]
        self.entrance.service.log_refusal(f"PROXY protocol: {host} {why}, its connection is closed.")
        self.edge.abort()

    cdef void expired(self) noexcept:
        self.edge.abort()

    cdef void drain(self) noexcept:
        # As in HTTP: what is on its way is still answered.
        if not self.over:
            self.edge.deadline(self.entrance.service.ticks.linger)

    cdef void lost(self) noexcept:
        self.begun = None
        self.over = True
