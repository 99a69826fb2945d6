#pragma once
/* ACPI machine language (ACPI 6.4 chapter 20), as much as the DSDT needs. Each function adds to a buffer; what has a length
 * before it is made in a buffer of its own and then wrapped. Names are of four characters. */
#include <stdint.h>

#include "base/buf.h"

void aml_integer(struct buf *b, uint64_t value);
void aml_string(struct buf *b, const char *s);
/* "PNP0A08" as its number. */
void aml_eisa_id(struct buf *b, const char *id);

/* Name (NAME, ...): the value follows; or at once. */
void aml_name(struct buf *b, const char *name);
void aml_name_integer(struct buf *b, const char *name, uint64_t value);
void aml_name_eisa_id(struct buf *b, const char *name, const char *id);

/* Each takes what body holds, which is empty then. */
void aml_scope(struct buf *b, const char *path, struct buf *body); /* "\\_SB_" */
void aml_device(struct buf *b, const char *name, struct buf *body);
void aml_package(struct buf *b, uint8_t n, struct buf *body);
/* ResourceTemplate of what the functions below added; the end tag is added here. */
void aml_resources(struct buf *b, struct buf *body);

void aml_io(struct buf *b, uint16_t base, uint8_t len);
void aml_irq(struct buf *b, unsigned line);
void aml_memory_fixed(struct buf *b, uint32_t base, uint32_t len);
/* Ranges that a bridge passes on. */
void aml_bus_range(struct buf *b, uint16_t first, uint16_t last);
void aml_io_range(struct buf *b, uint16_t first, uint16_t last);
void aml_memory_range(struct buf *b, uint32_t first, uint32_t last);
