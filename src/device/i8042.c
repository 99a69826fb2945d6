/*
 * Intel 8042 as in IBM's PC/AT technical reference, section "Keyboard controller", and a keyboard of 102 keys. Bytes for
 * the guest wait in a queue; what does not fit is lost, as with a slow reader of the real one.
 */
#include "device/i8042.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/irq.h"

#define LINE 1u
#define QUEUE 16u

/* Status. */
#define FULL 0x01u
#define SYSTEM 0x04u
#define COMMAND 0x08u
#define UNLOCKED 0x10u
/* Command byte. */
#define INTERRUPT 0x01u
#define SYSTEM_FLAG 0x04u
#define DISABLED 0x10u
#define MOUSE_DISABLED 0x20u
#define TRANSLATE 0x40u
/* Output port. */
#define NO_RESET 0x01u
#define A20 0x02u

#define ACK 0xfau

struct i8042 {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	void (*reset)(void *data);
	void *data;
	uint8_t ram[32]; /* the first is the command byte */
	uint8_t output;
	uint8_t queue[QUEUE];
	unsigned n;
	uint8_t pending;  /* a controller's command that wants a byte, or 0 */
	uint8_t keyboard; /* the same of the keyboard's */
	uint8_t scan_set;
	bool was_command;
	struct irq_line line;
	struct bus_region data_port, command_port;
};

static void update(struct i8042 *k)
{
	irq_line_set(&k->line, k->n > 0 && k->ram[0] & INTERRUPT);
}

static void answer(struct i8042 *k, uint8_t value)
{
	if (k->n < QUEUE)
		k->queue[k->n++] = value;
	update(k);
}

static uint64_t read_data(void *data, uint64_t offset, unsigned size)
{
	struct i8042 *k = data;
	uint8_t value;

	pthread_mutex_lock(&k->lock);
	value = k->queue[0];
	/* Each byte is an edge of its own. */
	irq_line_set(&k->line, false);
	if (k->n > 0) {
		k->n--;
		for (unsigned i = 0; i < k->n; i++)
			k->queue[i] = k->queue[i + 1];
	}
	update(k);
	pthread_mutex_unlock(&k->lock);
	return value;
}

static uint64_t read_status(void *data, uint64_t offset, unsigned size)
{
	struct i8042 *k = data;
	uint64_t value;

	pthread_mutex_lock(&k->lock);
	value = UNLOCKED | (k->n > 0 ? FULL : 0) | (k->ram[0] & SYSTEM_FLAG ? SYSTEM : 0) |
		(k->was_command ? COMMAND : 0);
	pthread_mutex_unlock(&k->lock);
	return value;
}

/* The keyboard got a byte that belongs to the command before it. */
static void keyboard_parameter(struct i8042 *k, uint8_t command, uint8_t value)
{
	answer(k, ACK);
	if (command != 0xf0)
		return;
	if (value == 0)
		answer(k, k->scan_set);
	else if (value <= 3)
		k->scan_set = value;
}

static void to_keyboard(struct i8042 *k, uint8_t value)
{
	uint8_t command = k->keyboard;

	k->keyboard = 0;
	if (command) {
		keyboard_parameter(k, command, value);
		return;
	}
	switch (value) {
	case 0xee: /* echo */
		answer(k, 0xee);
		break;
	case 0xed: /* lights */
	case 0xf0: /* scan code set */
	case 0xf3: /* repetition */
		k->keyboard = value;
		answer(k, ACK);
		break;
	case 0xf2: /* identify: the controller translates this too */
		answer(k, ACK);
		answer(k, 0xab);
		answer(k, k->ram[0] & TRANSLATE ? 0x41 : 0x83);
		break;
	case 0xff: /* reset, and its self test */
		k->scan_set = 2;
		answer(k, ACK);
		answer(k, 0xaa);
		break;
	case 0xf4:
	case 0xf5:
	case 0xf6:
	case 0xf7:
	case 0xf8:
	case 0xf9:
	case 0xfa:
		answer(k, ACK);
		break;
	default: /* once more, please */
		answer(k, 0xfe);
	}
}

/* The byte after a controller's command. True: reset. */
static bool parameter(struct i8042 *k, uint8_t command, uint8_t value)
{
	if (command >= 0x60 && command < 0x80)
		k->ram[command & 31] = value;
	else if (command == 0xd1)
		k->output = value;
	else if (command == 0xd2)
		answer(k, value);
	update(k);
	return command == 0xd1 && !(value & NO_RESET);
}

static void write_data(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct i8042 *k = data;
	uint8_t command;
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	command = k->pending;
	k->pending = 0;
	k->was_command = false;
	if (command)
		reset = parameter(k, command, (uint8_t)value);
	else
		to_keyboard(k, (uint8_t)value);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		k->reset(k->data);
}

static void command(struct i8042 *k, uint8_t value)
{
	switch (value) {
	case 0xa7:
		k->ram[0] |= MOUSE_DISABLED;
		break;
	case 0xa8:
		k->ram[0] &= ~MOUSE_DISABLED;
		break;
	case 0xa9: /* the mouse's port: stuck, since there is none */
		answer(k, 1);
		break;
	case 0xaa: /* self test */
		k->ram[0] |= SYSTEM_FLAG;
		k->n = 0;
		answer(k, 0x55);
		break;
	case 0xab: /* the keyboard's port */
		answer(k, 0);
		break;
	case 0xad:
		k->ram[0] |= DISABLED;
		break;
	case 0xae:
		k->ram[0] &= ~DISABLED;
		break;
	case 0xc0: /* input port: not locked */
		answer(k, 0x80);
		break;
	case 0xd0:
		answer(k, k->output | (k->n > 0 ? 0x10 : 0));
		break;
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4:
		k->pending = value;
		break;
	case 0xdd:
		k->output &= ~A20;
		break;
	case 0xdf:
		k->output |= A20;
		break;
	default:
		if (value >= 0x20 && value < 0x40)
			answer(k, k->ram[value & 31]);
		else if (value >= 0x60 && value < 0x80)
			k->pending = value;
	}
	update(k);
}

static void write_command(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct i8042 *k = data;

	pthread_mutex_lock(&k->lock);
	k->was_command = true;
	k->pending = 0;
	command(k, (uint8_t)value);
	pthread_mutex_unlock(&k->lock);
	/* Pulses of the output port's lines: the lowest is the processor's reset. */
	if (value >= 0xf0 && !(value & NO_RESET))
		k->reset(k->data);
}

static void reset(struct device *device)
{
	struct i8042 *k = (struct i8042 *)device;

	for (unsigned i = 0; i < sizeof(k->ram); i++)
		k->ram[i] = 0;
	/* As firmware leaves it. */
	k->ram[0] = INTERRUPT | SYSTEM_FLAG | MOUSE_DISABLED | TRANSLATE;
	k->output = 0xcc | NO_RESET | A20;
	k->n = 0;
	k->pending = k->keyboard = 0;
	k->scan_set = 2;
	k->was_command = false;
	update(k);
}

static void destroy(struct device *device)
{
	struct i8042 *k = (struct i8042 *)device;

	bus_unmap(k->memory->bus, &k->data_port);
	bus_unmap(k->memory->bus, &k->command_port);
	irq_line_set(&k->line, false);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static const struct device_type type = { .name = "i8042", .reset = reset, .destroy = destroy };

struct device *i8042_new(struct memory *m, void (*on_reset)(void *data), void *data)
{
	static const struct bus_ops data_ops = { read_data, write_data, 1 },
				    command_ops = { read_status, write_command, 1 };
	struct i8042 *k = xnew(struct i8042);

	k->device.type = &type;
	k->memory = m;
	k->reset = on_reset;
	k->data = data;
	pthread_mutex_init(&k->lock, NULL);
	irq_line_init(&k->line, m->irqs, LINE);
	reset(&k->device);
	bus_region_init(&k->data_port, "i8042-data", BUS_PORT, 1, &data_ops, k);
	bus_region_init(&k->command_port, "i8042-command", BUS_PORT, 1, &command_ops, k);
	bus_map(m->bus, &k->data_port, 0x60);
	bus_map(m->bus, &k->command_port, 0x64);
	return &k->device;
}
