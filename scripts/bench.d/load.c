/*
 * A client that asks a 9P2000 server as fast as one can, for scripts/bench.
 *
 *	load ping SOCKET PATH COUNT SECONDS	small reads, one at a time
 *	load bare SOCKET REQUEST REPLY SECONDS	the same without 9P: octets out, octets in
 *	load list SOCKET PATH			read a directory, count the numbers in it
 *	load cat SOCKET DIRECTORY FILE DEPTH	read DIRECTORY/n/FILE for each number n,
 *						DEPTH files at a time
 *	load drain				read standard input to its end
 *
 * Prints "COUNT OCTETS SECONDS": how many replies, numbers or files; octets of data.
 * Source: section 5 of the Plan 9 manual.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	Tversion = 100, Tattach = 104, Rerror = 107, Twalk = 110, Topen = 112,
	Tread = 116, Tclunk = 120,
	Notag = 0xffff,
	Header = 7,		/* size[4] type[1] tag[2] */
	Iohdr = 24,
	Msize = 65536 + Iohdr,
	Names = 1 << 24,	/* octets for the numbers of a directory */
	Depth = 64,		/* most files at a time */
	Path = 512,		/* longest path of a file */
};

/* Requests are collected in out from frame on; replies are in[used] to in[have]. */
static unsigned char out[Depth * (Path + 64)], *frame, *end = out;
static unsigned char in[4 * Msize];
static size_t used, have;
static uint32_t msize;		/* what the server agreed to */
static int fd;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(uint64_t v, int octets) {
	for (; octets > 0; octets--, v >>= 8)
		*end++ = v & 0xff;
}

static void puts9(const char *s, size_t n) {
	if (end + n + 2 > out + sizeof out) {
		fprintf(stderr, "a name is too long\n");
		exit(1);
	}
	put(n, 2);
	memcpy(end, s, n);
	end += n;
}

static uint64_t get(const unsigned char *p, int octets) {
	uint64_t v = 0;
	while (octets-- > 0)
		v = v << 8 | p[octets];
	return v;
}

static void writeall(const unsigned char *p, size_t n) {
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k <= 0)
			die("write");
		p += k, n -= k;
	}
}

static void readall(unsigned char *p, size_t n) {
	while (n > 0) {
		ssize_t k = read(fd, p, n);
		if (k <= 0)
			die("the server hung up");
		p += k, n -= k;
	}
}

static void dial(const char *path) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof a.sun_path) {
		fprintf(stderr, "%s: too long\n", path);
		exit(1);
	}
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die(path);
}

static void begin(int type, int tag) {
	frame = end;
	end += 4;
	put(type, 1);
	put(tag, 2);
}

/* Complete what begin() began. */
static void finish(void) {
	unsigned char *stop = end;
	end = frame;
	put(stop - frame, 4);
	end = stop;
}

static void flush(void) {
	writeall(out, end - out);
	end = out;
}

/* Return the body of the next reply, its length in n, its tag in tag. */
static unsigned char *receive(uint32_t *n, int *tag) {
	for (;;) {
		unsigned char *p = in + used;
		size_t there = have - used, size = there < 4 ? 0 : get(p, 4);
		if (there >= 4 && (size < Header || size > Msize)) {
			fprintf(stderr, "frame of %zu octets\n", size);
			exit(1);
		}
		if (there >= 4 && there >= size) {
			used += size;
			if (p[4] == Rerror) {
				fprintf(stderr, "%.*s\n", (int)get(p + 7, 2), p + 9);
				exit(1);
			}
			*n = size - Header;
			*tag = get(p + 5, 2);
			return p + Header;
		}
		memmove(in, p, there);
		used = 0;
		have = there;
		ssize_t k = read(fd, in + have, sizeof in - have);
		if (k <= 0)
			die("the server hung up");
		have += k;
	}
}

/* Send what begin() began; return the reply's body, its length in n. */
static unsigned char *rpc(uint32_t *n) {
	int tag;
	finish();
	flush();
	return receive(n, &tag);
}

static void start(const char *socket) {
	uint32_t n;
	const char *user = getenv("USER") ? getenv("USER") : "none";
	dial(socket);
	begin(Tversion, Notag);
	put(Msize, 4);
	puts9("9P2000", 6);
	msize = get(rpc(&n), 4);
	begin(Tattach, 0);
	put(0, 4);
	put(0xffffffff, 4);
	puts9(user, strlen(user));
	puts9("", 0);
	rpc(&n);
}

/* Begin to walk fid from the root to path; return the number of names. */
static int walk(int fid, const char *path) {
	int names = 0;
	begin(Twalk, fid);
	put(0, 4);
	put(fid, 4);
	unsigned char *count = end;
	put(0, 2);
	for (const char *p = path; *p; names++) {
		size_t length = strcspn(p, "/");
		puts9(p, length);
		p += length + (p[length] == '/');
	}
	*count = names;
	return names;
}

static void walked(const unsigned char *reply, int names, const char *path) {
	if (get(reply, 2) != (uint64_t)names) {
		fprintf(stderr, "%s: file does not exist\n", path);
		exit(1);
	}
}

static void askopen(int fid) {
	begin(Topen, fid);
	put(fid, 4);
	put(0, 1);
}

static void askread(int fid, uint64_t offset, uint32_t count) {
	begin(Tread, fid);
	put(fid, 4);
	put(offset, 8);
	put(count, 4);
}

static void askclunk(int fid) {
	begin(Tclunk, fid);
	put(fid, 4);
}

/* Open path on fid 1. */
static void openpath(const char *path) {
	uint32_t n;
	int names = walk(1, path);
	walked(rpc(&n), names, path);
	askopen(1);
	rpc(&n);
}

/* Read count octets of fid 1 at offset; return them, their number in n. */
static unsigned char *readat(uint64_t offset, uint32_t count, uint32_t *n) {
	askread(1, offset, count);
	unsigned char *body = rpc(n);
	*n = get(body, 4);
	return body + 4;
}

static void report(long count, double octets, double since) {
	printf("%ld %.0f %.6f\n", count, octets, now() - since);
}

static void ping(const char *path, uint32_t count, double seconds) {
	long done = 0;
	double octets = 0, since;
	uint32_t n;
	openpath(path);
	since = now();
	do
		for (int i = 0; i < 100; i++, done++) {
			readat(0, count, &n);
			octets += n;
		}
	while (now() - since < seconds);
	report(done, octets, since);
}

static void bare(size_t request, size_t reply, double seconds) {
	long done = 0;
	double since = now();
	if (request > sizeof out || reply > sizeof in)
		exit(1);
	do
		for (int i = 0; i < 100; i++, done++) {
			writeall(out, request);
			readall(in, reply);
		}
	while (now() - since < seconds);
	report(done, (double)done * reply, since);
}

/* Read the directory path; put the names that are numbers into names, count them. */
static long list(const char *path, char *names, double *octets) {
	uint64_t offset = 0;
	uint32_t n;
	long numbers = 0;
	char *to = names;
	openpath(path);
	for (;;) {
		unsigned char *p = readat(offset, msize - Iohdr, &n);
		if (n == 0)
			break;
		offset += n;
		for (unsigned char *stop = p + n; p < stop; p += get(p, 2) + 2) {
			/* size type dev qid mode atime mtime length come before name */
			uint16_t length = get(p + 41, 2);
			if (p[43] < '0' || p[43] > '9' || to + length + 2 > names + Names)
				continue;
			memcpy(to, p + 43, length);
			to += length;
			*to++ = '\n';
			numbers++;
		}
	}
	*to = '\0';
	*octets = offset;
	askclunk(1);
	rpc(&n);
	return numbers;
}

/* Read the files paths[0] to paths[k-1] whole, side by side; return their octets. */
static double readall9(char paths[][Path], int k) {
	static uint64_t offset[Depth];
	static int names[Depth];
	double octets = 0;
	uint32_t n;
	int tag, left = k;
	for (int i = 0; i < k; i++) {
		names[i] = walk(i + 1, paths[i]);
		finish();
	}
	flush();
	for (int i = 0; i < k; i++) {
		unsigned char *reply = receive(&n, &tag);
		walked(reply, names[tag - 1], paths[tag - 1]);
	}
	for (int i = 0; i < k; i++) {
		askopen(i + 1);
		finish();
	}
	flush();
	for (int i = 0; i < k; i++) {
		receive(&n, &tag);
		askread(tag, offset[tag - 1] = 0, msize - Iohdr);
		finish();
	}
	while (left > 0) {
		flush();
		unsigned char *reply = receive(&n, &tag);
		n = get(reply, 4);
		octets += n;
		offset[tag - 1] += n;
		if (n > 0) {
			askread(tag, offset[tag - 1], msize - Iohdr);
			finish();
		} else
			left--;
	}
	for (int i = 0; i < k; i++) {
		askclunk(i + 1);
		finish();
	}
	flush();
	for (int i = 0; i < k; i++)
		receive(&n, &tag);
	return octets;
}

static void cat(const char *directory, const char *file, int depth, char *names) {
	static char paths[Depth][Path];
	double octets, total = 0, since;
	long files = 0;
	int k = 0;
	if (depth < 1 || depth > Depth)
		exit(1);
	list(directory, names, &octets);
	since = now();
	for (char *name = strtok(names, "\n"); name; files++) {
		snprintf(paths[k++], Path, "%s/%s/%s", directory, name, file);
		name = strtok(NULL, "\n");
		if (k == depth || name == NULL) {
			total += readall9(paths, k);
			k = 0;
		}
	}
	report(files, total, since);
}

int main(int argc, char **argv) {
	static char names[Names];
	double octets = 0, since = now();
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "drain") == 0) {
		ssize_t n;
		while ((n = read(0, in, sizeof in)) > 0)
			octets += n;
		report(1, octets, since);
	} else if (strcmp(verb, "bare") == 0 && argc == 6) {
		dial(argv[2]);
		bare(atol(argv[3]), atol(argv[4]), atof(argv[5]));
	} else if (strcmp(verb, "ping") == 0 && argc == 6) {
		start(argv[2]);
		ping(argv[3], atol(argv[4]), atof(argv[5]));
	} else if (strcmp(verb, "list") == 0 && argc == 4) {
		start(argv[2]);
		long numbers = list(argv[3], names, &octets);
		report(numbers, octets, since);
	} else if (strcmp(verb, "cat") == 0 && argc == 6) {
		start(argv[2]);
		cat(argv[3], argv[4], atoi(argv[5]), names);
	} else {
		fprintf(stderr, "usage: load ping|bare|list|cat|drain ...\n");
		return 1;
	}
	return 0;
}
