// SPDX-License-Identifier: GPL-2.0
/*
 * Machines that are saved, restored and moved while their guest, which notices any
 * word of its memory and any interrupt that is lost, runs. Runs where a virtual
 * machine device is: on /dev/minivmm, or on the device named by the first argument.
 */
#include <fcntl.h>
#include <dirent.h>
#include <linux/minivmm.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base.h"
#include "options.h"
#include "report.h"
#include "spawn.h"
#include "state.h"
#include "unix_socket.h"
#include "vm.h"

extern const u8 guest_walker[], guest_walker_end[], guest_sleeper[], guest_sleeper_end[];

#define ROUNDS		3	/* of the guest, that show that it runs */
#define SILENCE_MS	1000	/* that shows that all has come */
#define NR_SCRIBBLES	60
#define APIC_DEADLINE_AT 172	/* the last 8 bytes of a local APIC */
#define UNLIMITED	(~0ULL)

static const char *device = VM_DEFAULT_DEVICE;
static char dir[32];

static bool has(int cap)
{
	int fd = open(device, O_RDWR);
	int value = ioctl(fd, MINIVMM_CHECK_EXTENSION, cap);

	close(fd);
	return value > 0;
}

static const char *path(const char *name)
{
	static char paths[8][64];
	static unsigned int next;
	char *p = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static const char *sock(const char *name)
{
	static char names[8][72];
	static unsigned int next;
	char *p = names[next++ % ARRAY_SIZE(names)];

	snprintf(p, sizeof(names[0]), "unix:%s", path(name));
	return p;
}

static void wait_for_file(const char *name)
{
	static const struct timespec while_it_starts = { .tv_nsec = 1000000 };

	while (access(path(name), F_OK))
		nanosleep(&while_it_starts, NULL);
}

/* ------------------------------------------------------------------------ */
/* The guest                                                                 */

static void write_file(const char *name, const void *data, size_t size)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		exit(99);
	close(fd);
}

static unsigned int rounds(const struct spawn *s)
{
	unsigned int n = 0;

	for (const char *c = s->text; c && *c; c++)
		n += *c == '.';
	return n;
}

/* Some more rounds of the guest, without a word that is wrong. */
static bool runs(struct spawn *s)
{
	unsigned int begin = rounds(s);

	while (rounds(s) < begin + ROUNDS) {
		size_t len = s->len;

		spawn_read_some(s);
		if (s->len == len || strchr(s->text, 'X') || strstr(s->text, "minivmm:"))
			return false;
	}
	return true;
}

static void start_guest(struct spawn *s, const char *guest, const char *irqchip, const char *cpus)
{
	spawn_start(s, true, command_raw, path(guest), "--mode", "32", "-m", "4M", "--dev",
		    device, "-c", cpus, "--irqchip", irqchip, "--control", sock("control"),
		    "--migrate-to", sock("incoming"), NULL);
}

static void start_walker(struct spawn *s, const char *irqchip, const char *cpus)
{
	start_guest(s, "walker", irqchip, cpus);
	CHECK(runs(s), "the guest runs");
}

/* The guest ends as it should. */
static void end_walker(struct spawn *s, const char *what)
{
	unsigned int failures = tap_failures;

	CHECK(runs(s), what);
	CHECK(write(s->in, "q", 1) == 1, "it listens");
	EQUAL(spawn_end(s), EXIT_POWERED_OFF, "and powers off when told to");
	CHECK(strstr(s->text, "K") && !strstr(s->text, "X"), "its memory is right");
	spawn_free(s, failures);
}

/* @text: what it says last. */
static void ends(struct spawn *s, int code, const char *text, const char *what)
{
	unsigned int failures = tap_failures;

	EQUAL(spawn_end(s), code, what);
	CHECK(strstr(s->text, text), text);
	spawn_free(s, failures);
}

static void start_incoming(struct spawn *s)
{
	unlink(path("incoming"));
	spawn_start(s, true, command_run, "--incoming", sock("incoming"), "--dev", device,
		    "--control", sock("control2"), NULL);
	wait_for_file("incoming");
}

static void snapshot(const char *file, int code, const char *text, const char *what)
{
	struct spawn s;

	spawn_start(&s, false, command_snapshot, path(file), "--control", sock("control"), NULL);
	ends(&s, code, text, what);
}

static void start_restored(struct spawn *s, const char *file)
{
	spawn_start(s, true, command_run, "--restore", path(file), "--dev", device, NULL);
}

/* ------------------------------------------------------------------------ */
/* Between two launchers, as a wire that can be cut                          */

/* Bytes to pass on, and to keep back at the end: then it is cut. */
struct wire {
	u64 limit;
	u64 keep;
	u64 passed;
};

/* Return: whether something came in time. */
static bool readable(int fd, int other, int ms)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = other, .events = POLLIN } };

	return poll(fds, 2, ms) > 0;
}

static void cut_after(struct wire *wire, int from, int to)
{
	static u8 held[8192];
	u64 nr_held = 0;

	while (readable(from, to, SILENCE_MS) && wire->passed < wire->limit) {
		u8 buf[4096 + sizeof(held)];
		u64 n, room = wire->limit - wire->passed;
		ssize_t got;

		memcpy(buf, held, nr_held);
		got = recv(from, buf + nr_held, 4096, MSG_DONTWAIT);
		if (got <= 0)
			break;
		n = nr_held + got > wire->keep ? nr_held + got - wire->keep : 0;
		n = n < room ? n : room;
		nr_held += got - n;
		if (n && send(to, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		wire->passed += n;
		if (nr_held > sizeof(held))
			break;
		memcpy(held, buf + n, nr_held);
	}
}

/* Connects who migrates to "wire" with who waits at "incoming". */
static void pass_on(struct wire *wire, int listen_fd)
{
	const struct unix_address to = parse_unix("test", sock("incoming"));
	int from_fd = accept(listen_fd, NULL, NULL);
	int to_fd = unix_connect(&to, SOCK_STREAM);

	cut_after(wire, from_fd, to_fd);
	close(from_fd);
	close(to_fd);
}

/* A migration over a wire that is cut: the source goes on. */
static void migrate_over(struct spawn *source, struct wire wire, const char *what)
{
	const struct unix_address address = parse_unix("test", sock("wire"));
	int listen_fd = unix_listen(&address, SOCK_STREAM);
	struct spawn destination, client;

	start_incoming(&destination);
	spawn_start(&client, false, command_migrate, sock("wire"), "--control", sock("control"),
		    NULL);
	pass_on(&wire, listen_fd);
	printf("# cut after %llu bytes\n", wire.passed);
	ends(&client, EXIT_SETUP, "minivmm: unix:", what);
	ends(&destination, EXIT_SETUP, "truncated", "the destination gives up");
	CHECK(runs(source), "the source goes on");
	close(listen_fd);
}

static void migrate(struct spawn *source, int code, const char *text, const char *what)
{
	struct spawn client;

	(void)source;
	spawn_start(&client, false, command_migrate, sock("incoming"), "--control",
		    sock("control"), NULL);
	ends(&client, code, text, what);
}

/* ------------------------------------------------------------------------ */
/* Tests                                                                     */

static void test_migrate(const char *irqchip, const char *cpus)
{
	struct spawn source, destination;

	printf("# migration, --irqchip %s, %s CPUs\n", irqchip, cpus);
	start_walker(&source, irqchip, cpus);
	start_incoming(&destination);
	migrate(&source, EXIT_POWERED_OFF, "", "a migration");
	ends(&source, EXIT_MOVED, "minivmm: the guest has moved", "the source ends");
	CHECK(access(path("control"), F_OK), "and its control socket is gone");
	end_walker(&destination, "the destination goes on");
}

static void test_snapshot(const char *irqchip, const char *cpus)
{
	struct spawn source, restored;

	printf("# snapshot, --irqchip %s, %s CPUs\n", irqchip, cpus);
	start_walker(&source, irqchip, cpus);
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot");
	end_walker(&source, "the guest goes on after it");
	start_restored(&restored, "snapshot");
	end_walker(&restored, "and from it");
}

/* A guest that sleeps until its TSC deadline, which goes with it */
static void test_deadline(const char *irqchip)
{
	struct spawn source, destination;

	printf("# TSC deadline, --irqchip %s\n", irqchip);
	start_guest(&source, "sleeper", irqchip, "1");
	if (!runs(&source)) {
		CHECK(strstr(source.text, "N") && !strcmp(device, "/dev/kvm") &&
		      !strcmp(irqchip, "user"), "no deadline, as KVM keeps them");
		EQUAL(spawn_end(&source), EXIT_POWERED_OFF, "it powers off");
		return;
	}
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot");
	CHECK(runs(&source), "the guest goes on after it");
	start_incoming(&destination);
	migrate(&source, EXIT_POWERED_OFF, "", "a migration");
	ends(&source, EXIT_MOVED, "has moved", "the source ends");
	end_walker(&destination, "the destination goes on");
	start_restored(&destination, "snapshot");
	end_walker(&destination, "and so does what was saved");
}

/* There and back, by signal, and on from a snapshot of the moved one. */
static void test_chain(void)
{
	struct spawn first, second, client;

	printf("# chain\n");
	start_walker(&first, "user", "2");
	start_incoming(&second);
	kill(first.pid, SIGUSR1);
	ends(&first, EXIT_MOVED, "has moved", "a migration by signal");
	CHECK(runs(&second), "the destination goes on");
	start_incoming(&first);
	spawn_start(&client, false, command_migrate, sock("incoming"), "--control",
		    sock("control2"), NULL);
	ends(&client, EXIT_POWERED_OFF, "", "the next migration");
	ends(&second, EXIT_MOVED, "has moved", "the first destination ends");
	end_walker(&first, "the second goes on");
}

/* Whatever becomes of the destination, the guest goes on. */
static void test_cuts(const char *irqchip)
{
	static const u64 limits[] = { 0, 7, 16, 30, 5000, 200000 };
	static const u64 keeps[] = { 1, 24, 1000, 8000 };
	struct spawn source, destination;

	printf("# cut wires, --irqchip %s\n", irqchip);
	start_walker(&source, irqchip, "2");
	for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++)
		migrate_over(&source, (struct wire){ .limit = limits[i] }, "cut early");
	for (unsigned int i = 0; i < ARRAY_SIZE(keeps); i++)
		migrate_over(&source, (struct wire){ .limit = UNLIMITED, .keep = keeps[i] },
			     "cut near the end");

	unlink(path("incoming"));
	migrate(&source, EXIT_SETUP, "nobody waits there", "no destination");
	CHECK(runs(&source), "the source goes on");
	start_incoming(&destination);
	migrate(&source, EXIT_POWERED_OFF, "", "after all that it can still migrate");
	ends(&source, EXIT_MOVED, "has moved", "the source ends");
	end_walker(&destination, "the destination goes on");
}

/* Until no more comes */
static void take_all(int fd)
{
	char buf[4096];

	while (readable(fd, -1, SILENCE_MS))
		if (read(fd, buf, sizeof(buf)) <= 0)
			break;
}

/* A destination that is there, but cannot run the guest, is killed, or no launcher. */
static void test_destinations(void)
{
	const struct unix_address address = parse_unix("test", sock("incoming"));
	struct spawn source, destination, client;
	int listen_fd, fd;

	printf("# bad destinations\n");
	start_walker(&source, "user", "1");
	spawn_start(&destination, false, command_run, "--incoming", sock("incoming"), "--dev",
		    "/nonexistent", NULL);
	wait_for_file("incoming");
	migrate(&source, EXIT_SETUP, "has not taken the guest", "it has no device");
	ends(&destination, EXIT_DEVICE, "No such file", "it says so");
	CHECK(runs(&source), "the source goes on");

	start_incoming(&destination);
	kill(destination.pid, SIGSTOP);
	spawn_start(&client, false, command_migrate, sock("incoming"), "--control",
		    sock("control"), NULL);
	CHECK(runs(&source), "it hangs: the source goes on");
	/* Without a dirty log, only when the destination was given up. */
	if (has(MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2))
		CHECK(!waitpid(client.pid, NULL, WNOHANG), "in the midst of the migration");
	kill(destination.pid, SIGKILL);
	ends(&client, EXIT_SETUP, "minivmm: unix:", "it is killed");
	ends(&destination, 128 + SIGKILL, "", "it is gone");
	CHECK(runs(&source), "the source goes on");

	listen_fd = unix_listen(&address, SOCK_STREAM);
	spawn_start(&client, false, command_migrate, sock("incoming"), "--control",
		    sock("control"), NULL);
	fd = accept(listen_fd, NULL, NULL);
	if (write(fd, "taxed\n", 6) != 6)
		exit(99);
	take_all(fd);
	ends(&client, EXIT_SETUP, "has not taken the guest", "it answers something else");
	close(fd);
	CHECK(runs(&source), "the source goes on");

	spawn_start(&client, false, command_migrate, sock("incoming"), "--control",
		    sock("control"), NULL);
	fd = accept(listen_fd, NULL, NULL);
	take_all(fd);
	if (write(fd, "tak", 3) != 3)
		exit(99);
	kill(source.pid, SIGSTOP);
	kill(source.pid, SIGCONT);
	if (readable(fd, -1, SILENCE_MS) || write(fd, "en\n", 3) != 3)
		exit(99);
	ends(&client, EXIT_POWERED_OFF, "", "its answer comes in pieces");
	ends(&source, EXIT_MOVED, "has moved", "the source ends");
	close(fd);
	close(listen_fd);
}

static u8 *read_file(const char *name, size_t *size)
{
	int fd = open(path(name), O_RDONLY);
	struct stat st;
	u8 *data;

	if (fd < 0 || fstat(fd, &st))
		exit(99);
	*size = st.st_size;
	data = malloc(*size);
	if (read(fd, data, *size) != (ssize_t)*size)
		exit(99);
	close(fd);
	return data;
}

/* What somebody sends who then is gone: the guest does not begin to run. */
static void sent_and_gone(const u8 *data, size_t size, const char *text, const char *what)
{
	const struct unix_address address = parse_unix("test", sock("incoming"));
	unsigned int failures;
	struct spawn destination;
	int fd;

	start_incoming(&destination);
	fd = unix_connect(&address, SOCK_STREAM);
	if (fd < 0 || send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		exit(99);
	close(fd);
	failures = tap_failures;
	EQUAL(spawn_end(&destination), EXIT_SETUP, what);
	CHECK(strstr(destination.text, text), text);
	CHECK(!strncmp(destination.text, "minivmm: ", 9), "the guest has said nothing");
	spawn_free(&destination, failures);
}

static void test_source_dies(void)
{
	struct spawn source;
	size_t size;
	u8 *data;

	printf("# sources that die\n");
	start_walker(&source, "user", "2");
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot");
	end_walker(&source, "the guest goes on after it");
	data = read_file("snapshot", &size);
	sent_and_gone(data, 0, "truncated", "at once");
	sent_and_gone(data, 15, "truncated", "in the header");
	sent_and_gone(data, size / 2, "truncated", "in the midst");
	sent_and_gone(data, size - 1, "truncated", "at the last byte");
	sent_and_gone(data, size, "the source has given up", "before it hears that all is there");
	free(data);
}

static void refused(const u8 *data, size_t size, const char *text, const char *what)
{
	struct spawn s;

	write_file("bad", data, size);
	start_restored(&s, "bad");
	ends(&s, EXIT_SETUP, text, what);
}

static void test_damage(void)
{
	static const int parts[] = { 1, 7, 50, 500, 998 };
	struct spawn source;
	size_t size;
	u8 *data;

	printf("# damaged snapshots\n");
	start_walker(&source, "user", "2");
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot");
	end_walker(&source, "the guest goes on after it");
	data = read_file("snapshot", &size);
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t at = size * parts[i] / 1000;

		refused(data, at, "truncated", "a part of a snapshot");
		data[at] ^= 1 << i;
		refused(data, size, "damaged at byte", "a bit that is wrong");
		data[at] ^= 1 << i;
	}
	refused(data, 0, "truncated", "an empty file");
	refused(data, size - 1, "truncated", "all but one byte");
	data[0] ^= 1;
	refused(data, size, "not a saved machine", "some other file");
	data[0] ^= 1;
	data[8]++;
	refused(data, size, "its format has version 3", "a version to come");
	data[8] -= 2;
	refused(data, size, "its format has version 1", "one before");
	data[8]++;
	data = realloc(data, size + 1);
	data[size] = 0;
	refused(data, size + 1, "something follows its end", "a byte too many");
	free(data);
	start_restored(&source, "snapshot");
	end_walker(&source, "undamaged it is good");
}

/* ------------------------------------------------------------------------ */
/* Snapshots with right checksums that somebody has written on purpose            */

/* What becomes of a section: copied, changed, left out (false). */
struct edit {
	bool (*change)(struct edit *edit, struct section *s, u8 *data);
	u32 id;
	u32 at;			/* the section of that kind, or the bytes in it */
	u64 value;
	u32 seen;
};

static void rewrite(const char *from, const char *to, struct edit edit)
{
	int in_fd = open(path(from), O_RDONLY);
	int out_fd = open(path(to), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct stream_out *out = stream_out_open(out_fd);
	struct stream_in *in = stream_in_open(in_fd);
	static u8 data[STREAM_MAX_SECTION];
	struct section s;

	while (stream_next(in, &s)) {
		memcpy(data, s.data, s.length);
		if (!edit.change(&edit, &s, data))
			continue;
		state_save_bytes(out, s.id, s.instance, data, s.length);
	}
	if (!stream_flush(out))
		exit(99);
	stream_out_free(out);
	stream_in_free(in);
	close(in_fd);
	close(out_fd);
}

static bool set_value(struct edit *edit, struct section *s, u8 *data)
{
	if (s->id == edit->id && !edit->seen++)
		memcpy(data + edit->at, &edit->value, sizeof(edit->value));
	return true;
}

static bool set_short(struct edit *edit, struct section *s, u8 *data)
{
	(void)data;
	if (s->id == edit->id && !edit->seen++)
		s->length = edit->value;
	return true;
}

static bool set_id(struct edit *edit, struct section *s, u8 *data)
{
	(void)data;
	if (s->id == edit->id && !edit->seen++)
		s->id = edit->value;
	return true;
}

static bool leave_out(struct edit *edit, struct section *s, u8 *data)
{
	(void)data;
	return s->id != edit->id || edit->seen++;
}

static u64 random_bits(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One to four bytes, in one section of those that are no memory */
static bool scribble(struct edit *edit, struct section *s, u8 *data)
{
	u64 state = edit->value * 0x9e3779b97f4a7c15ULL;

	if (s->id < SECTION_STATE || edit->seen++ != edit->at || !s->length)
		return true;
	for (unsigned int n = random_bits(&state) % 4; n < 4; n++)
		data[random_bits(&state) % s->length] = random_bits(&state);
	return true;
}

static void wrong(struct edit edit, const char *text, const char *what)
{
	struct spawn s;

	rewrite("snapshot", "bad", edit);
	start_restored(&s, "bad");
	ends(&s, EXIT_SETUP, text, what);
}

#define VALUE(what, where, to) \
	((struct edit){ .change = set_value, .id = (what), .at = (where), .value = (to) })
#define SHORT(what, to) \
	((struct edit){ .change = set_short, .id = (what), .value = (to) })

static void test_impossible(void)
{
	wrong(VALUE(SECTION_MACHINE, 0, ~0ULL), "a machine that there cannot be", "memory");
	wrong(SHORT(SECTION_MACHINE, 15), "a machine that there cannot be", "half a machine");
	wrong(VALUE(SECTION_PAGES, 0, 4 * MIB), "memory where none is", "beyond the memory");
	wrong(VALUE(SECTION_PAGES, 0, RAM_VIDEO_HOLE), "memory where none is", "in a hole");
	wrong(VALUE(SECTION_PAGES, 0, 1), "memory where none is", "not at a page");
	wrong(VALUE(SECTION_PAGES, 0, ~4095ULL), "memory where none is", "wrapping");
	wrong(SHORT(SECTION_PAGES, 8), "memory where none is", "no page");
	wrong(SHORT(SECTION_PAGES, 4095 + 8), "memory where none is", "half a page");
	wrong((struct edit){ .change = set_id, .id = SECTION_PAGES, .value = SECTION_ZEROS },
	      "memory where none is", "pages that are called zero");
	wrong((struct edit){ .change = set_id, .id = SECTION_RTC, .value = SECTION_IDS },
	      "nobody knows", "a device to come");
	wrong((struct edit){ .change = set_id, .id = SECTION_RTC, .value = SECTION_KERNEL_PIT },
	      "CMOS clock 0 is missing", "another device");
	wrong((struct edit){ .change = set_id, .id = SECTION_PAGES, .value = SECTION_END },
	      "something follows its end", "an end with content");
	wrong(VALUE(SECTION_LOCAL_APIC, APIC_DEADLINE_AT, 1), "local APIC 0 is impossible",
	      "a deadline in another mode of the timer");
	wrong(SHORT(SECTION_VCPU, 100), "the state of CPU 0 is impossible", "half a CPU");
	wrong(SHORT(SECTION_CPUID, 39), "the state of CPUID of CPU 0 is impossible", "half a leaf");
	for (u32 id = SECTION_STATE; id < SECTION_IDS; id++)
		if (id != SECTION_KERNEL_CHIP && id != SECTION_KERNEL_PIT)
			wrong((struct edit){ .change = leave_out, .id = id }, "is missing",
			      "a section that is left out");
}

/* Any end will do, or none, but a crash: of the launcher here, or of the host. */
static void test_scribble(void)
{
	unsigned int crashes = 0, refusals = 0;

	for (u32 i = 0; i < NR_SCRIBBLES; i++) {
		struct spawn s;
		int code;

		rewrite("snapshot", "bad", (struct edit){
			.change = scribble, .at = i % 25, .value = i + 1 });
		start_restored(&s, "bad");
		/* It runs, or says why not; or it does nothing. */
		readable(s.out, -1, 200);
		kill(s.pid, SIGTERM);
		code = spawn_end(&s);
		refusals += code == EXIT_SETUP;
		if (code > EXIT_INTERNAL && code != 128 + SIGTERM) {
			crashes++;
			printf("# scribble %u: %d: %.200s\n", i, code, s.text);
		}
		free(s.text);
	}
	printf("# %u of %u refused\n", refusals, NR_SCRIBBLES);
	EQUAL(crashes, 0, "no scribbled snapshot makes the launcher crash");
}

static void test_hostile(void)
{
	struct spawn source;

	printf("# hostile snapshots\n");
	start_walker(&source, "user", "2");
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot");
	end_walker(&source, "the guest goes on after it");
	test_impossible();
	test_scribble();
	if (!has(MINIVMM_CAP_IRQCHIP))
		return;
	start_walker(&source, "kernel", "2");
	snapshot("snapshot", EXIT_POWERED_OFF, "", "a snapshot, chips in the kernel");
	end_walker(&source, "the guest goes on after it");
	test_scribble();
}

static unsigned int files_in(const char *name)
{
	DIR *files = opendir(name);
	unsigned int n = 0;

	while (files && readdir(files))
		n++;
	closedir(files);
	return n;
}

/* Its writes end here: a disk that is full */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = size;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_requests(void)
{
	struct spawn source, first, second;
	unsigned int files;

	printf("# requests\n");
	snapshot("snapshot", EXIT_SETUP, "no machine listens there", "nobody to ask");
	limit_files(100000);
	start_walker(&source, "user", "1");
	limit_files(RLIM_INFINITY);
	files = files_in(dir);
	snapshot("full", EXIT_SETUP, "cannot write: File too large", "no room for a snapshot");
	EQUAL(files_in(dir), files, "nothing is left of it");
	end_walker(&source, "the guest goes on");

	start_walker(&source, "user", "1");
	spawn_start(&first, false, command_snapshot, path("twice"), "--control",
		    sock("control"), NULL);
	spawn_start(&second, false, command_snapshot, path("twice"), "--control",
		    sock("control"), NULL);
	ends(&first, EXIT_POWERED_OFF, "", "two snapshots of one name at once");
	ends(&second, EXIT_POWERED_OFF, "", "one after the other");
	end_walker(&source, "the guest goes on");
	start_restored(&source, "twice");
	end_walker(&source, "the file is whole");
}

/* Sends a request, with so many files. Return: the connection. */
static int send_raw(const char *request, unsigned int nr_fds, int fd)
{
	const struct unix_address address = parse_unix("test", sock("control"));
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { .header = {
		.cmsg_len = CMSG_LEN(nr_fds * sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	} };
	struct iovec text = { .iov_base = (char *)request, .iov_len = strlen(request) };
	const struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int)),
	};
	int connection = unix_connect(&address, SOCK_SEQPACKET);

	for (unsigned int i = 0; i < nr_fds; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
	if (connection < 0 || sendmsg(connection, &message, MSG_NOSIGNAL) < 0)
		exit(99);
	return connection;
}

/* Requests that `minivmm snapshot` would not send */
static void test_bad_requests(void)
{
	char files[64], answer[64];
	struct spawn source;
	unsigned int before;
	int connection;

	printf("# bad requests\n");
	start_walker(&source, "user", "1");
	snprintf(files, sizeof(files), "/proc/%d/fd", source.pid);
	before = files_in(files);
	for (unsigned int i = 0; i < 5; i++) {
		connection = send_raw("nonsense", 2, source.out);
		CHECK(recv(connection, answer, sizeof(answer), 0) > 0, "more files than one");
		close(connection);
		connection = send_raw("", 1, source.out);
		CHECK(!recv(connection, answer, sizeof(answer), 0), "a file and no word");
		close(connection);
	}
	EQUAL(files_in(files), before, "it keeps none of the files");
	end_walker(&source, "the guest goes on");
}

/* A signal is obeyed though the machine is paused for a reader that does not read. */
static void test_signal_while_paused(void)
{
	struct spawn source;
	int snap[2], connection;

	printf("# SIGTERM while paused\n");
	start_walker(&source, "user", "2");
	if (pipe(snap))
		exit(99);
	connection = send_raw("snapshot", 1, snap[1]);
	while (readable(source.out, -1, SILENCE_MS))
		spawn_read_some(&source);
	kill(source.pid, SIGTERM);
	ends(&source, 128 + SIGTERM, "", "it ends by that signal");
	close(connection);
	close(snap[0]);
	close(snap[1]);
}

/* What is in the place of a socket may be somebody's. */
static void test_names(void)
{
	struct spawn source;

	printf("# names of sockets\n");
	write_file("control.part", "precious", 8);
	start_guest(&source, "walker", "user", "1");
	ends(&source, EXIT_SETUP, "cannot listen there: File exists", "a file is in the way");
	CHECK(!access(path("control.part"), F_OK), "it is still there");
	unlink(path("control.part"));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int cap;
	} modes[] = {
		{ "user", MINIVMM_CAP_USER_MEMORY },
		{ "split", MINIVMM_CAP_SPLIT_IRQCHIP },
		{ "kernel", MINIVMM_CAP_IRQCHIP },
	};
	char command[sizeof(dir) + 8];

	if (argc > 1)
		device = argv[1];
	if (access(device, R_OK | W_OK)) {
		printf("1..0 # SKIP no %s\n", device);
		return 4;
	}
	/* A launcher that has ended does not read what is for its guest. */
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/minivmm-move-XXXXXX");
	if (!mkdtemp(dir))
		return 99;
	write_file("walker", guest_walker, guest_walker_end - guest_walker);
	write_file("sleeper", guest_sleeper, guest_sleeper_end - guest_sleeper);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!has(modes[i].cap)) {
			printf("# %s has no %s interrupt chips\n", device, modes[i].name);
			continue;
		}
		test_snapshot(modes[i].name, "1");
		test_snapshot(modes[i].name, "2");
		test_migrate(modes[i].name, "1");
		test_migrate(modes[i].name, "2");
		test_deadline(modes[i].name);
	}
	test_chain();
	test_cuts(has(MINIVMM_CAP_IRQCHIP) ? "kernel" : "user");
	test_destinations();
	test_source_dies();
	test_damage();
	test_hostile();
	test_requests();
	test_bad_requests();
	test_signal_while_paused();
	test_names();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) ? 99 : tap_end();
}
