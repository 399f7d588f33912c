/* Servers as the runtimes of other languages make them, and a client that keeps a connection to each peer.
 *
 *   talk threads PORT HOST:PORT...   a pool of 64 threads, each with an epoll of its own, as a JVM's; and one thread
 *                                    that has a table of files for itself, with a listener on PORT + 1 and both ends
 *                                    of a connection to it
 *   talk mptcp PORT HOST:PORT...     listens by MPTCP and connects by MPTCP; by TCP where the kernel has none
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { POOL = 64, MPTCP = 262 };
static const char question[] = "GET / HTTP/1.1\r\nHost: peer\r\n\r\n";
static int protocol, queue[POOL];

static void fail(const char *what) { perror(what); exit(1); }

static int listener(const char *ip, int port)
{
	int s = socket(AF_INET, SOCK_STREAM, protocol), yes = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, ip, &at.sin_addr);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (s < 0 || bind(s, (void *)&at, sizeof at) || listen(s, 64)) fail("listen");
	return s;
}

static int dial(const char *ip, int port)
{
	int s = socket(AF_INET, SOCK_STREAM, protocol);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, ip, &to.sin_addr);
	/* A Service that was dialled before its rules stood is never reached from the same port: try another one soon. */
	struct timeval soon = {.tv_sec = 3};
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
	if (!connect(s, (void *)&to, sizeof to)) return s;
	close(s);
	return -1;
}

static void *work(void *number)
{
	int own = queue[(long)number];
	char text[4096];
	for (;;) {
		struct epoll_event event;
		if (epoll_wait(own, &event, 1, -1) < 1) continue;
		ssize_t n = read(event.data.fd, text, sizeof text);
		if (n <= 0 || write(event.data.fd, text, n) != n) close(event.data.fd);
	}
}

static void *keep(void *peer)
{
	char host[64], text[4096];
	int port;
	if (sscanf(peer, "%63[^:]:%d", host, &port) != 2) fail(peer);
	for (;; sleep(1)) {
		int s = dial(host, port);
		while (s >= 0 && write(s, question, sizeof question - 1) > 0 && read(s, text, sizeof text) > 0) sleep(1);
		fprintf(stderr, "%s: %s\n", (char *)peer, strerror(errno));
		if (s >= 0) close(s);
	}
}

static void *apart(void *port)
{
	if (unshare(CLONE_FILES)) fail("unshare");
	int l = listener("127.0.0.1", (long)port), c = dial("127.0.0.1", (long)port);
	if (c < 0 || accept(l, 0, 0) < 0) fail("accept");
	for (;;) pause();
}

static void start(void *(*body)(void *), void *with)
{
	pthread_t thread;
	if (pthread_create(&thread, 0, body, with)) fail("pthread_create");
}

int main(int n, char **words)
{
	if (n < 3) return 2;
	long port = atoi(words[2]);
	if (!strcmp(words[1], "mptcp")) {
		int s = socket(AF_INET, SOCK_STREAM, MPTCP);
		protocol = s < 0 ? 0 : MPTCP;
		fprintf(stderr, "MPTCP: %s\n", s < 0 ? "no" : "yes");
		if (s >= 0) close(s);
	} else {
		start(apart, (void *)(port + 1));
	}
	int l = listener("0.0.0.0", port);
	for (long i = 0; i < POOL; i++) {
		queue[i] = epoll_create1(0);
		start(work, (void *)i);
	}
	for (int i = 3; i < n; i++) start(keep, words[i]);
	for (unsigned i = 0;; i++) {
		struct epoll_event event = {.events = EPOLLIN};
		event.data.fd = accept(l, 0, 0);
		if (event.data.fd >= 0) epoll_ctl(queue[i % POOL], EPOLL_CTL_ADD, event.data.fd, &event);
	}
}
