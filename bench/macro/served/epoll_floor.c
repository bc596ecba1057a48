/* The floor under any server: epoll, read, a canned answer for every blank line read, write. No HTTP.
 *
 * It counts on a benchmark client, whose requests arrive whole and who reads its answers. epoll_floor PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: floor\r\n"
    "content-type: text/plain; charset=utf-8\r\ncontent-length: 13\r\n\r\nHello, World!";
enum { LENGTH = sizeof ANSWER - 1, MOST = 4096, EVENTS = 256 };

static char input[65536], output[MOST * LENGTH];

/* Answer what can be read; -1 when the connection has ended. */
static int serve(int fd) {
    ssize_t count = recv(fd, input, sizeof input, 0);
    if (count <= 0) return -1;
    size_t requests = 0;
    const char *at = input, *end = input + count;
    while ((at = memmem(at, end - at, "\r\n\r\n", 4))) {
        requests++;
        at += 4;
    }
    if (requests > MOST) return -1;
    return send(fd, output, requests * LENGTH, MSG_NOSIGNAL) == (ssize_t)(requests * LENGTH) ? 0 : -1;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    for (size_t i = 0; i < MOST; i++) memcpy(output + i * LENGTH, ANSWER, LENGTH);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 2048)) {
        perror("epoll_floor");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (serve(fd)) close(fd);
            } else if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
