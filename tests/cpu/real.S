/* Real mode: segments, flags, the interrupt table, 16- and 32-bit operands, strings. Prints "real!". */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	/* A segment is 16 bytes a number, and wraps nowhere near here. */
	mov	$0x1234, %ax
	mov	%ax, %es
	movb	$'r', %es:0x10
	mov	$0x1000, %ax
	mov	%ax, %ds
	mov	0x2350, %al
	out	%al, $0xe9
	xor	%ax, %ax
	mov	%ax, %ds
	/* 300 * 200 / 7 with the remainder. */
	mov	$300, %ax
	mov	$200, %bx
	mul	%bx
	mov	$7, %bx
	div	%bx
	cmp	$8571, %ax
	jne	bad
	cmp	$3, %dx
	jne	bad
	say	'e'
	/* An interrupt by the table, whose handler sees IF and TF off and returns to them. */
	movw	$handler, 4 * 0x60
	movw	$0, 4 * 0x60 + 2
	sti
	stc
	int	$0x60
	jnc	bad
	pushf
	pop	%ax
	test	$0x200, %ax
	jz	bad
	cli
	cmp	$0x5aa5, %cx
	jne	bad
	say	'a'
	/* 32-bit operands and addresses; sign extension, carry chains. */
	mov	$0xffffffff, %eax
	add	$1, %eax
	adc	$0, %ebx
	movsbl	letter, %ecx
	lea	2(%ecx, %ecx, 2), %edx
	cmp	$3 * 'l' + 2, %edx
	jne	bad
	mov	%cl, %al
	out	%al, $0xe9
	/* Strings: copy backwards over itself, scan, then out. */
	xor	%ax, %ax
	mov	%ax, %es
	std
	mov	$text + 4, %si
	mov	$text + 5, %di
	mov	$5, %cx
	rep movsb
	cld
	mov	$text, %di
	mov	$6, %cx
	mov	$'o', %al
	repne scasb
	cmp	$0, %cx
	jne	bad
	mov	$bang, %si
	mov	$0xe9, %dx
	mov	$1, %cx
	rep outsb
	done	0
bad:	done	1
handler:
	pushf
	pop	%ax
	mov	$0x5aa5, %cx
	test	$0x300, %ax
	jz	1f
	xor	%cx, %cx
1:	iret
letter:	.byte	'l'
text:	.ascii	"hello."
bang:	.byte	'!'
