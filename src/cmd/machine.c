/* `holm machine run`: a machine in the foreground, its serial console on the terminal. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/loop.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/machine_net.h"
#include "machine/process.h"

#define ESCAPE 0x1d /* ctrl-] */
#define DEFAULT_MEMORY (INT64_C(512) << 20)

/* Exit statuses; 0 is a machine that switched itself off. */
enum { EXIT_TRIPLE_FAULT = 3, EXIT_PANIC = 4, EXIT_CPU = 5, EXIT_STOPPED = 6, EXIT_START = 125 };

struct run_options {
	const char *kernel, *initrd, *append, *cpu, *model, *name, *console, *vsock;
	char **disks, **nets;
	int64_t cpus, memory, balloon;
	bool test_devices, rng, has_cpus, has_memory, has_balloon;
};

static const struct cmd_option options[] = {
	OPTION_WITH(struct run_options, kernel, OPT_STR, 'k', "kernel", "FILE",
		"what to boot: a bzImage, or an ELF file with a PVH note or a multiboot header",
		.complete = COMPLETE_FILE),
	OPTION_WITH(struct run_options, initrd, OPT_STR, 'i', "initrd", "FILE",
		"its initial RAM disk, or its first multiboot module", .complete = COMPLETE_FILE),
	OPTION(struct run_options, append, OPT_STR, 'a', "append", "TEXT",
		"the kernel's command line (console=ttyS0; hvc0 with --console virtio)"),
	OPTION_WITH(struct run_options, disks, OPT_STRV, 'd', "disk", "FILE[:ro]",
		"a raw disk image or block device, as /dev/vda, /dev/vdb and so on",
		.complete = COMPLETE_FILE),
	OPTION(struct run_options, nets, OPT_STRV, 0, "net", "KIND",
		"a network card: user[,port=HOST:GUEST[/udp]][,host], bridge[/NETWORK][,ip=ADDRESS], or none; with ,mac=ADDRESS"),
	OPTION(struct run_options, name, OPT_STR, 0, "name", "NAME",
		"by which others on its networks find the machine"),
	OPTION_WITH(struct run_options, cpus, OPT_INT, 'c', "cpus", "N", "processors (1)",
		OPTION_GIVEN(struct run_options, has_cpus)),
	OPTION_WITH(struct run_options, memory, OPT_SIZE, 'm', "memory", "SIZE", "RAM (512m)",
		OPTION_GIVEN(struct run_options, has_memory)),
	OPTION(struct run_options, cpu, OPT_STR, 0, "cpu", "NAME",
		"what executes the guest's code: auto, or insist on kvm or soft (auto)"),
	OPTION_WITH(struct run_options, model, OPT_STR, 0, "cpu-model", "MODEL",
		"which processor the guest sees (host)",
		.choices = (const char *const[]){ "host", "x86-64-v2", "x86-64-v3", NULL }),
	OPTION_WITH(struct run_options, console, OPT_STR, 0, "console", "KIND",
		"what the terminal is for the guest: serial, its ttyS0, or virtio, its hvc0 (serial)",
		.choices = (const char *const[]){ "serial", "virtio", NULL }),
	OPTION(struct run_options, rng, OPT_FLAG, 0, "rng", NULL, "a virtio source of entropy"),
	OPTION_WITH(struct run_options, balloon, OPT_SIZE, 0, "balloon", "SIZE",
		"a virtio balloon: takes so much of the RAM back, and what the guest frees (0: only that)",
		OPTION_GIVEN(struct run_options, has_balloon)),
	OPTION(struct run_options, vsock, OPT_STR, 0, "vsock", "CID:PATH",
		"sockets between guest and host: the guest's number, 3 or more, and a Unix socket of the host"),
	OPTION(struct run_options, test_devices, OPT_FLAG, 0, "test-devices", NULL,
		"also the devices that test kernels expect: isa-debug-exit, testdev"),
	OPTION_END
};

static struct termios saved;
static bool raw;

static void set_raw(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	t = saved;
	cfmakeraw(&t);
	raw = tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) == 0;
	if (raw)
		fprintf(stderr, "The machine's console; ctrl-] ends it.\r\n");
}

static void restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
	raw = false;
}

/* Prints what the end was; the exit status. */
static int report(enum machine_end end, int code, const struct err *why)
{
	struct err err;

	switch (end) {
	case MACHINE_POWER_OFF:
	case MACHINE_RESET:
		return 0;
	case MACHINE_TEST_EXIT:
		return code;
	case MACHINE_STOPPED:
		return EXIT_STOPPED;
	case MACHINE_PANIC:
		err_set(&err, EIO, "the guest's kernel panicked");
		return cmd_fail(&err, EXIT_PANIC);
	case MACHINE_SHUTDOWN:
		err_set(&err, EIO, "the machine shut down: %s", why->text);
		return cmd_fail(&err, EXIT_TRIPLE_FAULT);
	case MACHINE_FATAL:
		break;
	}
	err_set(&err, EIO, "the machine cannot go on: %s", why->text);
	return cmd_fail(&err, EXIT_CPU);
}

static void say_cpu(const struct machine_process *p)
{
	if (machine_process_reason(p)[0])
		fprintf(stderr, "holm: running on cpu '%s': %s\n", machine_process_cpu(p),
			machine_process_reason(p));
}

struct watch {
	struct loop *loop;
	struct machine_config *config;
	struct machine_process *process; /* of this life, or NULL */
	struct loop_source *requests;    /* its, or NULL */
	bool pressed;
};

/* The terminal's, for the machine that is made next. */
static void read_size(struct machine_config *config)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	config->columns = size.ws_col;
	config->rows = size.ws_row;
}

/* The first that asks for the end presses the power button, the second ends the machine. */
static void on_signal(void *data, int signo)
{
	struct watch *w = data;

	if (signo == SIGWINCH) {
		read_size(w->config);
		machine_process_resize(w->process, w->config->columns, w->config->rows);
		return;
	}
	if (w->pressed) {
		machine_process_stop(w->process);
		return;
	}
	machine_process_power_button(w->process);
	fprintf(stderr, "holm: pressed the machine's power button; another signal ends it%s\n",
		raw ? "\r" : "");
	w->pressed = true;
}

static void on_end(void *data, uint32_t events)
{
	loop_stop(((struct watch *)data)->loop, 0);
}

static void on_request(void *data, uint32_t events)
{
	struct watch *w = data;

	if (machine_process_answer(w->process))
		return;
	loop_remove(w->requests);
	w->requests = NULL;
}

static int watch_signals(struct watch *w)
{
	sigset_t set;
	struct err err;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	r = loop_add_signals(w->loop, &set, on_signal, w);
	if (r == 0)
		return 0;
	err_code(&err, r, "wait for signals");
	return cmd_fail(&err, EXIT_START);
}

/* Until it has ended. */
static void run_process(struct watch *w, struct machine_process *p)
{
	struct loop_source *end = loop_add_fd(w->loop, machine_process_fd(p), EPOLLIN, on_end, w);

	if (machine_process_requests_fd(p) >= 0)
		w->requests = loop_add_fd(
			w->loop, machine_process_requests_fd(p), EPOLLIN, on_request, w);
	w->process = p;
	machine_process_run(p);
	loop_run(w->loop);
	w->process = NULL;
	loop_remove(end);
	loop_remove(w->requests);
	w->requests = NULL;
}

/* One life of the machine, from power-on to its end or reset. */
static int run_once(struct watch *w, struct machine_nets *nets, bool first,
	enum machine_end *ret_end, int *ret_status)
{
	struct machine_config *config = w->config;
	cleanup(machine_process_free) struct machine_process *p = NULL;
	struct err err = { 0 };
	int code = 0, r = machine_nets_open(nets, w->loop, &config->nics, &config->n_nics, &err);

	read_size(config);
	if (r == 0)
		r = machine_process_start(config, &p, &err);
	if (r == 0) {
		if (first) {
			say_cpu(p);
			set_raw();
		}
		run_process(w, p);
		r = machine_process_end(p, ret_end, &code, &err);
	}
	if (r < 0 || *ret_end != MACHINE_RESET)
		restore();
	*ret_status = r < 0 ? cmd_fail(&err, EXIT_START) : report(*ret_end, code, &err);
	return r;
}

/* FILE or FILE:ro. The paths are cut in place. */
static struct machine_disk *parse_disks(char **disks)
{
	size_t n = strv_len(disks);
	struct machine_disk *all = xcalloc(n + 1, sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(disks[i]);

		all[i].readonly = len > 3 && strcmp(disks[i] + len - 3, ":ro") == 0;
		if (all[i].readonly)
			disks[i][len - 3] = 0;
		all[i].path = disks[i];
	}
	return all;
}

/* CID:PATH. */
static int parse_vsock(const char *text, struct machine_config *config)
{
	const char *colon = strchr(text, ':');
	cleanup(free) char *number = colon ? xstrndup(text, (size_t)(colon - text)) : NULL;
	uint64_t cid;

	if (!colon || !colon[1] || parse_u64(number, UINT32_MAX - 1, &cid) < 0 || cid < 3)
		return -EINVAL;
	config->vsock_cid = (uint32_t)cid;
	config->vsock_path = colon + 1;
	return 0;
}

static void set_console(const struct run_options *o, struct machine_config *config)
{
	config->virtio_console = o->console && strcmp(o->console, "virtio") == 0;
	if (!o->append)
		config->append = config->virtio_console ? "console=hvc0" : "console=ttyS0";
}

static int run(struct cmd_call *call)
{
	const struct run_options *o = call->options;
	cleanup(free) struct machine_disk *disks = NULL;
	cleanup(loop_free) struct loop *loop = NULL;
	cleanup(machine_nets_free) struct machine_nets *nets = NULL;
	struct machine_config config = { .cpu = o->cpu ? o->cpu : "auto",
		.model = o->model,
		.n_vcpus = 1,
		.memory = (uint64_t)(o->has_memory ? o->memory : DEFAULT_MEMORY),
		.kernel = o->kernel,
		.initrd = o->initrd,
		.append = o->append,
		.serial_in = STDIN_FILENO,
		.serial_out = STDOUT_FILENO,
		.escape = isatty(STDIN_FILENO) ? ESCAPE : -1,
		.test_devices = o->test_devices,
		.rng = o->rng,
		.balloon = o->has_balloon,
		.balloon_bytes = (uint64_t)o->balloon };
	enum machine_end end = MACHINE_STOPPED;
	struct watch watch = { .config = &config };
	struct err err = { 0 };
	bool first = true;
	int r, status = 0;

	if (!o->kernel)
		return cmd_usage(call, "which --kernel?");
	if (o->has_cpus && (o->cpus < 1 || o->cpus > 64))
		return cmd_usage(call, "--cpus: a machine has 1 to 64");
	if (o->vsock && parse_vsock(o->vsock, &config) < 0)
		return cmd_usage(
			call, "--vsock: '%s' is not CID:PATH, with a CID of 3 or more", o->vsock);
	set_console(o, &config);
	disks = parse_disks(o->disks);
	config.disks = disks;
	config.n_disks = (unsigned)strv_len(o->disks);
	config.n_vcpus = o->cpus ? (unsigned)o->cpus : 1;
	/* Where what was measured of KVM is kept; it is measured again without. */
	cmd_paths(NULL);
	r = machine_nets_parse(o->nets, o->name, &nets, &err);
	if (r < 0)
		return cmd_fail(&err, EXIT_START);
	watch.loop = loop = loop_new();
	r = watch_signals(&watch);
	if (r != 0)
		return r;
	do {
		r = run_once(&watch, nets, first, &end, &status);
		first = false;
	} while (r >= 0 && end == MACHINE_RESET);
	return status;
}

const struct cmd cmd_machine_run = {
	.name = "machine run",
	.group = "Machines",
	.args = "",
	.summary = "Boot a kernel in a machine of its own, its serial console on the terminal",
	.description =
		"The machine is a PC (Q35's devices) booted without firmware. It runs on KVM where KVM "
		"really executes a kernel's code on the processor, which is measured once a boot of "
		"the host, else on a CPU made of software, and says so. A reset boots it again.\n\n"
		"On a terminal ctrl-] ends the machine. SIGTERM, SIGINT and SIGHUP press its power "
		"button, and end it the second time.\n\n"
		"The exit status is 0 when the guest switched the machine off, 3 after a triple fault, "
		"4 when its kernel panicked (and has a pvpanic driver to say so), 5 when the cpu cannot "
		"go on, 6 when it was ended from outside, 125 when it could not be started.",
	.examples =
		"holm machine run --kernel vmlinuz --initrd initrd.img --memory 1g --cpus 2\n"
		"holm machine run --kernel vmlinuz --disk disk.img --append 'console=ttyS0 root=/dev/vda'",
	.options = options,
	.options_size = sizeof(struct run_options),
	.flags = CMD_NO_STORE,
	.run = run,
};
