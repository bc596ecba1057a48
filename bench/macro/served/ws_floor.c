/* The floor under any WebSocket server: epoll, read, unmask, write. No HTTP, no checks, a canned handshake.
 *
 * It counts on ws_load: its one key, whole batches, a reader that keeps up. A session that asked for /publish speaks to
 * all others, any other hears what it says; all that one read brought leaves in one write. ws_floor PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char ANSWER[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
enum { MOST = 4096, EVENTS = 256, BUFFER = 1 << 17 };

static struct session { uint8_t *kept; size_t length; int open, publishes; } sessions[MOST]; /* by descriptor */
static uint8_t output[BUFFER];

static int put(int fd, const void *data, size_t length) {
    while (length) {
        ssize_t done = send(fd, data, length, MSG_NOSIGNAL);
        if (done < 0) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            if (poll(&room, 1, 5000) != 1) return -1;
            continue;
        }
        data = (const char *)data + done;
        length -= done;
    }
    return 0;
}

/* Turn the whole frames at `at` into unmasked ones in output; returns the length of both. */
static size_t turn(const uint8_t *at, const uint8_t *end, size_t *produced) {
    const uint8_t *start = at;
    uint8_t *to = output;
    for (;;) {
        size_t head = end - at < 4 || (at[1] & 127) < 126 ? 2 : (at[1] & 127) == 126 ? 4 : 10;
        if ((size_t)(end - at) < head + 4) break;
        size_t length = head == 2 ? at[1] & 127 : 0;
        for (size_t i = 2; i < head; i++) length = length << 8 | at[i];
        if ((size_t)(end - at) < head + 4 + length) break;
        memcpy(to, at, head);
        to[1] &= 127;
        const uint8_t *key = at + head, *payload = key + 4;
        uint32_t word;
        size_t i = 0;
        memcpy(&word, key, 4);
        for (; i + 4 <= length; i += 4) *(uint32_t *)(to + head + i) = *(const uint32_t *)(payload + i) ^ word;
        for (; i < length; i++) to[head + i] = payload[i] ^ key[i & 3];
        to += head + length;
        at += head + 4 + length;
    }
    *produced = to - output;
    return at - start;
}

/* Answer what can be read; -1 when the connection has ended. */
static int serve(int fd) {
    struct session *s = sessions + fd;
    ssize_t count = recv(fd, s->kept + s->length, BUFFER - s->length, 0);
    if (count <= 0) return -1;
    s->length += count;
    if (!s->open) {
        if (!memmem(s->kept, s->length, "\r\n\r\n", 4)) return 0;
        s->open = memmem(s->kept, s->length, "Upgrade", 7) != NULL;
        s->publishes = !memcmp(s->kept, "GET /p", 6);
        s->length = 0;
        return s->open ? put(fd, ANSWER, sizeof ANSWER - 1) : put(fd, "HTTP/1.1 204 \r\n\r\n", 17);
    }
    size_t produced, used = turn(s->kept, s->kept + s->length, &produced);
    memmove(s->kept, s->kept + used, s->length -= used);
    if (!s->publishes) return put(fd, output, produced);
    for (int other = 0; other < MOST; other++)
        if (sessions[other].open && other != fd && put(other, output, produced)) return -1;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 2048)) {
        perror("ws_floor");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (serve(fd)) {
                    free(sessions[fd].kept);
                    memset(sessions + fd, 0, sizeof *sessions);
                    close(fd);
                }
            } else if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MOST || !(sessions[fd].kept = malloc(BUFFER))) return 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
