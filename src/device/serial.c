/*
 * 16550A (National Semiconductor PC16550D). Line speed is kept and means nothing; sending takes no time, so the
 * transmitter is always empty. Input waits in a ring of ours, of which the guest sees 16 bytes' worth of FIFO
 * behaviour: the trigger level is always 1.
 */
#include "device/serial.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/irq.h"

#define RING 4096u

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH };

#define IER_RECEIVED 0x01u
#define IER_EMPTY 0x02u
#define IER_LINE 0x04u
#define IIR_NONE 0x01u
#define IIR_EMPTY 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE 0x06u
#define IIR_FIFO 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_INPUT 0x02u
#define LCR_DIVISOR 0x80u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define LSR_READY 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_EMPTY 0x60u
#define MSR_CONNECTED 0xb0u /* carrier, data set ready, clear to send */

struct serial {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint16_t divisor;
	bool overrun;
	bool empty_pending; /* the transmitter's interrupt, until IIR is read */
	uint8_t ring[RING];
	unsigned first, n;
	struct serial_config config;
	struct irq_line line;
	struct bus_region region;
};

static uint8_t pending(const struct serial *s)
{
	if (s->ier & IER_LINE && s->overrun)
		return IIR_LINE;
	if (s->ier & IER_RECEIVED && s->n > 0)
		return IIR_RECEIVED;
	if (s->ier & IER_EMPTY && s->empty_pending)
		return IIR_EMPTY;
	return IIR_NONE;
}

/* OUT2 connects the interrupt on a PC; in loopback it is cut off. */
static void update(struct serial *s)
{
	irq_line_set(
		&s->line, pending(s) != IIR_NONE && (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2);
}

static void put(struct serial *s, uint8_t byte)
{
	if (s->n == RING) {
		s->overrun = true;
		return;
	}
	s->ring[(s->first + s->n++) % RING] = byte;
}

static uint8_t get(struct serial *s)
{
	uint8_t byte = s->ring[s->first];

	if (s->n == 0)
		return 0;
	s->first = (s->first + 1) % RING;
	s->n--;
	return byte;
}

size_t serial_input(struct device *device, const uint8_t *data, size_t len)
{
	struct serial *s = (struct serial *)device;
	size_t done = 0;

	pthread_mutex_lock(&s->lock);
	/* In loopback the line in is cut off; what comes waits. */
	while (done < len && s->n < RING && !(s->mcr & MCR_LOOP))
		put(s, data[done++]);
	update(s);
	pthread_mutex_unlock(&s->lock);
	return done;
}

static uint8_t modem_status(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	/* RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD. */
	return (uint8_t)((s->mcr & 2) << 3 | (s->mcr & 1) << 5 | (s->mcr & 0xc) << 4);
}

static uint8_t read_locked(struct serial *s, uint64_t reg)
{
	uint8_t value;

	switch (reg) {
	case DATA:
		return s->lcr & LCR_DIVISOR ? (uint8_t)s->divisor : get(s);
	case IER:
		return s->lcr & LCR_DIVISOR ? (uint8_t)(s->divisor >> 8) : s->ier;
	case IIR:
		value = pending(s);
		if (value == IIR_EMPTY)
			s->empty_pending = false;
		return value | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
	case LCR:
		return s->lcr;
	case MCR:
		return s->mcr;
	case LSR:
		value = LSR_EMPTY | (s->n > 0 ? LSR_READY : 0) | (s->overrun ? LSR_OVERRUN : 0);
		s->overrun = false;
		return value;
	case MSR:
		return modem_status(s);
	default:
		return s->scratch;
	}
}

static uint64_t read_serial(void *data, uint64_t offset, unsigned size)
{
	struct serial *s = data;
	uint8_t value;

	pthread_mutex_lock(&s->lock);
	value = read_locked(s, offset);
	update(s);
	pthread_mutex_unlock(&s->lock);
	return value;
}

/* Returns whether the byte goes out. */
static bool write_data(struct serial *s, uint8_t value)
{
	if (s->lcr & LCR_DIVISOR) {
		s->divisor = (uint16_t)((s->divisor & 0xff00) | value);
		return false;
	}
	s->empty_pending = true;
	if (!(s->mcr & MCR_LOOP))
		return true;
	put(s, value);
	return false;
}

static void write_ier(struct serial *s, uint8_t value)
{
	if (s->lcr & LCR_DIVISOR) {
		s->divisor = (uint16_t)((s->divisor & 0xff) | value << 8);
		return;
	}
	/* Switching it on finds the transmitter empty. */
	if (value & ~s->ier & IER_EMPTY)
		s->empty_pending = true;
	s->ier = value & 0x0f;
}

static void write_serial(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct serial *s = data;
	bool out = false;

	pthread_mutex_lock(&s->lock);
	switch (offset) {
	case DATA:
		out = write_data(s, (uint8_t)value);
		break;
	case IER:
		write_ier(s, (uint8_t)value);
		break;
	case IIR: /* FCR */
		s->fcr = (uint8_t)value;
		if (value & FCR_CLEAR_INPUT)
			s->n = 0;
		break;
	case LCR:
		s->lcr = (uint8_t)value;
		break;
	case MCR:
		s->mcr = value & 0x1f;
		break;
	case SCRATCH:
		s->scratch = (uint8_t)value;
		break;
	default:
		break;
	}
	update(s);
	pthread_mutex_unlock(&s->lock);
	if (out && s->config.output)
		s->config.output(s->config.data, (uint8_t)value);
}

static const struct bus_ops ops = { read_serial, write_serial, 1 };

static void reset(struct device *device)
{
	struct serial *s = (struct serial *)device;

	s->ier = s->fcr = s->lcr = s->mcr = s->scratch = 0;
	s->divisor = 12; /* 9600 */
	s->overrun = s->empty_pending = false;
	s->first = s->n = 0;
	update(s);
}

static void destroy(struct device *device)
{
	struct serial *s = (struct serial *)device;

	bus_unmap(s->memory->bus, &s->region);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct device_type type = { .name = "serial", .reset = reset, .destroy = destroy };

struct device *serial_new(struct memory *m, const struct serial_config *config)
{
	struct serial *s = xnew(struct serial);

	s->device.type = &type;
	s->memory = m;
	s->config = *config;
	pthread_mutex_init(&s->lock, NULL);
	irq_line_init(&s->line, m->irqs, config->line);
	reset(&s->device);
	bus_region_init(&s->region, "serial", BUS_PORT, 8, &ops, s);
	bus_map(m->bus, &s->region, config->port);
	return &s->device;
}
