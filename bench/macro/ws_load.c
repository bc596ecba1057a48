/* WebSocket load from one thread: epoll, masked frames made beforehand, every answer compared octet for octet.
 *
 *     ws_load PORT echo|broadcast SESSIONS DEPTH SIZE text|binary WARMUP SECONDS
 *
 * echo: each session sends DEPTH messages in one write, and the next when all have come back.
 * broadcast: one more session, on /publish, keeps DEPTH messages in flight; each must reach all SESSIONS.
 *
 * After the warm-up nothing is in flight; it prints "ready" and waits for a line on its input. Then it measures, waits
 * for what is in flight, and prints one line of JSON. A session that ends, a broken frame or an answer that never
 * comes ends it with a word on stderr; a whole message with other contents is counted as an error. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, EVENTS = 1024, PATIENCE = 5 };

struct session {
    int fd;
    uint8_t *frames;       /* masked messages, one after the other; sessions that only listen have none */
    const uint8_t *unsent; /* what the socket has not taken yet ... */
    size_t unsent_length;  /* ... and how much that is */
    uint64_t sent;         /* when the batch in flight was written */
    unsigned slot;         /* which message is expected next */
    uint8_t head[10], control[125];
    unsigned have;         /* octets of the frame's head so far */
    size_t left, taken;    /* of the frame's payload: to come, here */
    size_t at;             /* octets of the message so far, over all its frames */
    bool payload, inside, wrong;
};

static struct session *sessions;
static unsigned count, depth, opcode, in_flight;
static unsigned slots; /* messages of a session; echo has two batches, so that an answer that comes twice is wrong */
static size_t size, frame; /* of a message, of its masked frame */
static bool broadcasting, running;
static uint8_t *pool; /* message NUMBER is the SIZE octets from pool + NUMBER: no two are the same */
static uint8_t input[1 << 18];
static int set;
static unsigned *missing;  /* broadcast: sessions that have not got the message of a slot yet */
static uint64_t *published; /* broadcast: when it was sent */
static uint64_t completed, errors, now, state = 88172645463325252u;
static uint32_t *latencies; /* nanoseconds */
static size_t samples, room;

static _Noreturn void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t clock_now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t draw(void) { /* xorshift64 */
    state ^= state << 13, state ^= state >> 7;
    return state ^= state << 17;
}

static void note(uint64_t since) {
    if (samples == room && !(latencies = realloc(latencies, (room = room ? room * 2 : 65536) * sizeof *latencies)))
        fail("no memory");
    latencies[samples++] = now - since < UINT32_MAX ? now - since : UINT32_MAX;
}

/* Write a masked frame around message `number` and return its end. */
static uint8_t *mask(uint8_t *to, unsigned number) {
    *to++ = 0x80 | opcode;
    if (size < 126) {
        *to++ = 0x80 | size;
    } else {
        int octets = size < 65536 ? 2 : 8;
        *to++ = 0x80 | (octets == 2 ? 126 : 127);
        while (octets--) *to++ = size >> (8 * octets);
    }
    uint64_t drawn = draw() | 0x0101010101010101;
    uint8_t *key = memcpy(to, &drawn, 4);
    to += 4;
    for (size_t i = 0; i < size; i++) *to++ = pool[number + i] ^ key[i & 3];
    return to;
}

static void push(struct session *s, const uint8_t *data, size_t length) {
    bool waited = s->unsent_length;
    ssize_t done = send(s->fd, data, length, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
    s->unsent = data + (done > 0 ? done : 0);
    s->unsent_length = length - (done > 0 ? done : 0);
    if (waited == (s->unsent_length > 0)) return;
    struct epoll_event event = {.events = EPOLLIN | (s->unsent_length ? EPOLLOUT : 0), .data.ptr = s};
    epoll_ctl(set, EPOLL_CTL_MOD, s->fd, &event);
}

static void publish(unsigned slot) {
    struct session *publisher = sessions + count;
    if (publisher->unsent_length) fail("the publisher's socket is full");
    missing[slot] = count;
    published[slot] = now;
    in_flight++;
    push(publisher, publisher->frames + slot * frame, frame);
}

static void send_batch(struct session *s) {
    s->sent = now;
    in_flight++;
    push(s, s->frames + s->slot * frame, depth * frame);
}

static void end_of_message(struct session *s) {
    unsigned slot = s->slot;
    errors += s->wrong || s->at != size;
    s->at = s->wrong = s->inside = 0;
    s->slot = (slot + 1) % slots;
    completed++;
    if (broadcasting && --missing[slot] == 0) {
        note(published[slot]);
        in_flight--;
        if (running) publish(slot);
    } else if (!broadcasting && s->slot % depth == 0) {
        note(s->sent);
        in_flight--;
        if (running) send_batch(s);
    }
}

static void end_of_frame(struct session *s) {
    unsigned kind = s->head[0] & 15;
    s->payload = false;
    s->have = 0;
    if (kind == CLOSE) fail("closed with code %d", s->taken < 2 ? 1005 : s->control[0] << 8 | s->control[1]);
    if (kind == PING && !s->unsent_length) { /* half a frame cannot be interrupted; the next ping is answered */
        uint8_t pong[6 + 125] = {0x8a, 0x80 | s->taken};
        memcpy(pong + 6, s->control, s->taken);
        if (send(s->fd, pong, 6 + s->taken, MSG_NOSIGNAL) < 0) fail("send: %s", strerror(errno));
    }
    if (kind < CLOSE && s->head[0] & 0x80) end_of_message(s);
}

static void begin_frame(struct session *s) {
    unsigned kind = s->head[0] & 15, length = s->head[1] & 127;
    if (s->head[0] & 0x70 || s->head[1] & 0x80) fail("a frame with reserved bits or a mask");
    s->left = length < 126 ? length : 0;
    for (unsigned i = 2; i < s->have; i++) s->left = s->left << 8 | s->head[i];
    s->taken = 0;
    s->payload = true;
    if (kind >= CLOSE) {
        if (s->left > sizeof s->control) fail("a control frame of %zu octets", s->left);
        return;
    }
    if (s->inside != (kind == 0)) fail("a frame with opcode %u out of turn", kind);
    if (!s->inside) s->wrong = kind != opcode;
    s->inside = true;
}

static void feed(struct session *s, const uint8_t *at, const uint8_t *end) {
    for (;;) {
        if (!s->payload) {
            for (;;) {
                unsigned length = s->have < 2 ? 0 : s->head[1] & 127;
                if (s->have == (length < 126 ? 2 : length == 126 ? 4 : 10)) break;
                if (at == end) return;
                s->head[s->have++] = *at++;
            }
            begin_frame(s);
        }
        size_t most = end - at, part = s->left < most ? s->left : most;
        if ((s->head[0] & 15) >= CLOSE) {
            memcpy(s->control + s->taken, at, part);
        } else {
            const uint8_t *wanted = pool + (broadcasting ? 0 : (s - sessions) * slots) + s->slot;
            if (s->at + part > size || memcmp(wanted + s->at, at, part)) s->wrong = true;
            s->at += part;
        }
        at += part, s->taken += part, s->left -= part;
        if (s->left) return;
        end_of_frame(s);
    }
}

static void handle(struct epoll_event *event) {
    struct session *s = event->data.ptr;
    now = clock_now(CLOCK_MONOTONIC);
    if (event->events & EPOLLOUT) push(s, s->unsent, s->unsent_length);
    if (!(event->events & ~EPOLLOUT)) return;
    ssize_t length = recv(s->fd, input, sizeof input, 0);
    if (length > 0) feed(s, input, input + length);
    else if (length == 0) fail("a session was ended without a close frame");
    else if (errno != EAGAIN) fail("recv: %s", strerror(errno));
}

/* Keep everything in flight for so long, then wait for what still is; returns the nanoseconds of both. */
static uint64_t work(double seconds) {
    struct epoll_event events[EVENTS];
    uint64_t began = now = clock_now(CLOCK_MONOTONIC), until = began + seconds * 1e9;
    completed = errors = samples = 0;
    running = true;
    for (unsigned i = 0; broadcasting && i < depth; i++) publish((sessions->slot + i) % slots);
    for (unsigned i = 0; !broadcasting && i < count; i++) send_batch(sessions + i);
    while (in_flight) {
        int ready = epoll_wait(set, events, EVENTS, 1000);
        for (int i = 0; i < ready; i++) handle(events + i);
        now = clock_now(CLOCK_MONOTONIC);
        running = now < until;
        if (now > until + PATIENCE * 1000000000ull)
            fail("%u %s were still incomplete after %d s", in_flight, broadcasting ? "broadcasts" : "echoes", PATIENCE);
    }
    return now - began;
}

static void join(struct session *s, int port, const char *path) {
    static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* of the key in RFC 6455, section 1.3 */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = PATIENCE};
    int one = 1;
    char head[4097];
    size_t have = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((s->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) fail("socket: %s", strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(s->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    dprintf(s->fd, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, port);
    for (char *end = NULL; !end; head[have] = 0, end = strstr(head, "\r\n\r\n")) {
        ssize_t got = recv(s->fd, head + have, 1, 0); /* by octets: what follows the head stays in the socket */
        if (got <= 0) fail("no whole answer to the handshake");
        if ((have += got) == sizeof head - 1) fail("an endless answer to the handshake");
    }
    if (strncmp(head, "HTTP/1.1 101 ", 13) || !strcasestr(head, ACCEPT))
        fail("the handshake was answered with %.*s", (int)strcspn(head, "\r"), head);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(set, EPOLL_CTL_ADD, s->fd, &event);
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    if (argc != 9) fail("ws_load PORT echo|broadcast SESSIONS DEPTH SIZE text|binary WARMUP SECONDS");
    int port = atoi(argv[1]);
    broadcasting = !strcmp(argv[2], "broadcast");
    count = atoi(argv[3]), depth = atoi(argv[4]), size = atoi(argv[5]);
    opcode = !strcmp(argv[6], "text") ? TEXT : BINARY;
    double warmup = atof(argv[7]), seconds = atof(argv[8]);
    if (!count || !depth) fail("nothing to send");

    slots = broadcasting ? depth : 2 * depth;
    size_t numbers = broadcasting ? slots : (size_t)count * slots;
    frame = size + (size < 126 ? 6 : size < 65536 ? 8 : 14);
    sessions = calloc(count + 1, sizeof *sessions);
    missing = calloc(depth, sizeof *missing);
    published = calloc(depth, sizeof *published);
    pool = malloc(size + numbers);
    if (!sessions || !missing || !published || !pool) fail("no memory");
    for (size_t i = 0; i < size + numbers; i++) pool[i] = opcode == TEXT ? ' ' + draw() % 95 : draw() >> 32;

    set = epoll_create1(0);
    for (unsigned i = 0; i < count + broadcasting; i++) {
        bool speaks = !broadcasting || i == count;
        join(sessions + i, port, i == count ? "/publish" : "/");
        if (!speaks) continue;
        uint8_t *to = sessions[i].frames = malloc(slots * frame);
        if (!to) fail("no memory");
        for (unsigned slot = 0; slot < slots; slot++) to = mask(to, broadcasting ? slot : i * slots + slot);
    }

    work(warmup);
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return 1;
    uint64_t cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID), took = work(seconds);
    cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(latencies, samples, sizeof *latencies, compare);
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f,\"errors\":%llu,\"cpu\":%.6f}\n",
        (unsigned long long)completed, took / 1e9, latencies[samples / 2] / 1e3, latencies[samples * 99 / 100] / 1e3,
        (unsigned long long)errors, cpu / 1e9);
    return 0;
}
