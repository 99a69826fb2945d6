/* Interrupts through the PICs, from lines 5 and 12 (by the cascade): masked, unmasked, HLT woken, STI's shadow.
 * Prints "5c5". */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	cli
	movw	$five, 4 * 0x25
	movw	$twelve, 4 * 0x2c
	movw	$0, 4 * 0x25 + 2
	movw	$0, 4 * 0x2c + 2
	mov	$0x11, %al		/* edge-triggered, cascaded, with ICW4 */
	out	%al, $0x20
	out	%al, $0xa0
	mov	$0x20, %al		/* vectors */
	out	%al, $0x21
	mov	$0x28, %al
	out	%al, $0xa1
	mov	$4, %al			/* the second is at line 2 */
	out	%al, $0x21
	mov	$2, %al
	out	%al, $0xa1
	mov	$1, %al			/* 8086 mode */
	out	%al, $0x21
	out	%al, $0xa1
	mov	$0xff, %al		/* all masked */
	out	%al, $0x21
	out	%al, $0xa1
	/* Raised while masked, taken when unmasked, not before the instruction after STI. */
	mov	$1, %al
	out	%al, $0xe5
	sti
	nop
	nop
	cli
	cmpw	$0, count
	jne	bad
	mov	$0xdb, %al		/* 5 and 2 */
	out	%al, $0x21
	mov	$0xef, %al		/* 12 */
	out	%al, $0xa1
	sti
	cli				/* nothing yet: the shadow */
	cmpw	$0, count
	jne	bad
	sti
	nop
	in	$0xe0, %al		/* emulating hosts look here only */
	cli
	cmpw	$1, count
	jne	bad
	xor	%al, %al
	out	%al, $0xe5
	/* The other one, with both processors' worth of EOIs. */
	sti
	mov	$1, %al
	out	%al, $0xec
	nop
	in	$0xe0, %al
	cli
	cmpw	$2, count
	jne	bad
	/* HLT wakes for one that is already waiting. */
	mov	$1, %al
	out	%al, $0xe5
	sti
	hlt
	cli
	cmpw	$3, count
	jne	bad
	done	0
bad:	done	1
five:
	push	%ax
	say	'5'
	incw	count
	mov	$0x20, %al
	out	%al, $0x20
	pop	%ax
	iret
twelve:
	push	%ax
	say	'c'
	incw	count
	mov	$0x20, %al
	out	%al, $0xa0
	out	%al, $0x20
	pop	%ax
	iret
count:	.word	0
