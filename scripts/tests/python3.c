// SPDX-License-Identifier: GPL-2.0
/*
 * The python3 of a sandbox. Sends python.py, which says why, what it has to know of this process,
 * hands on what signals come, and ends as the fork does that python.py made. Where that
 * does not know how (python3 without -S, with -m), or REAL_PYTHON is set, it is the real one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 100	/* open files, the folder among them */

static pid_t worker;
static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

/* Whoever sends one to our group means what is started here, too. */
static void forward(int number)
{
	kill(-worker, number);
}

static void get(int server, int *value)
{
	if (recv(server, value, sizeof(*value), MSG_WAITALL) != sizeof(*value))
		abort();	/* the server has ended */
}

static void put(int server, const char *text)
{
	send(server, text, strlen(text) + 1, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { AF_UNIX, SERVER };
	int server = socket(AF_UNIX, SOCK_STREAM, 0), status;
	struct { int umask, ignored, arguments, count, files[MOST]; } head = { .arguments = argc };
	union { char space[CMSG_SPACE(sizeof(head.files))]; struct cmsghdr align; } control;
	struct iovec data = { &head, sizeof(head) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control };
	struct cmsghdr *files = &control.align;
	sigset_t all, before;

	if (argc < 3 || strcmp(argv[1], "-S") || (argv[2][0] == '-' && strcmp(argv[2], "-") && strcmp(argv[2], "-c")) ||
	    getenv("REAL_PYTHON") || connect(server, (struct sockaddr *)&address, sizeof(address))) {
		close(server);
		argv[0] = PYTHON;
		execv(PYTHON, argv);
		return 127;
	}
	head.umask = umask(0);
	for (int i = 0; i < 4; i++) {
		struct sigaction now;

		sigaction(signals[i], NULL, &now);
		if (now.sa_handler == SIG_IGN)
			head.ignored |= 1 << signals[i];
	}
	for (int fd = 0; fd < 1024 && head.count < MOST - 1; fd++)
		if (fd != server && fcntl(fd, F_GETFD) >= 0)
			head.files[head.count++] = fd;
	memcpy(CMSG_DATA(files), head.files, head.count * sizeof(int));
	((int *)CMSG_DATA(files))[head.count] = open(".", O_PATH);
	files->cmsg_level = SOL_SOCKET;
	files->cmsg_type = SCM_RIGHTS;
	files->cmsg_len = CMSG_LEN((head.count + 1) * sizeof(int));
	message.msg_controllen = CMSG_SPACE((head.count + 1) * sizeof(int));
	sendmsg(server, &message, MSG_NOSIGNAL);
	for (int i = 0; i < argc; i++)
		put(server, argv[i]);
	for (char **variable = environ; *variable; variable++)
		put(server, *variable);
	shutdown(server, SHUT_WR);

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	get(server, &worker);
	for (int i = 0; i < 4; i++)
		if (!(head.ignored & 1 << signals[i]))
			sigaction(signals[i], &(struct sigaction){ .sa_handler = forward, .sa_flags = SA_RESTART }, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	get(server, &status);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}
