/* Memory-mapped registers in every width, aligned and not, and where nothing is; port strings. Prints "m". The page
 * answers a read of byte n with n, and keeps what was written at 0x800 and above. */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	mov	$ECHO, %ebx
	movzbl	0x11(%rbx), %eax
	cmp	$0x11, %eax
	jne	bad
	movzwl	0x12(%rbx), %eax
	cmp	$0x1312, %eax
	jne	bad
	mov	0x14(%rbx), %eax
	cmp	$0x17161514, %eax
	jne	bad
	mov	0x18(%rbx), %rax
	movabs	$0x1f1e1d1c1b1a1918, %rcx
	cmp	%rcx, %rax
	jne	bad
	mov	0x21(%rbx), %eax
	cmp	$0x24232221, %eax
	jne	bad
	movabs	$0x1122334455667788, %rax
	mov	%rax, 0x800(%rbx)
	mov	%ax, 0x811(%rbx)
	movb	$0x5a, 0x803(%rbx)
	cmpl	$0x5a667788, 0x800(%rbx)
	jne	bad
	cmpw	$0x7788, 0x811(%rbx)
	jne	bad
	/* A string of them. */
	lea	0x820(%rbx), %rdi
	mov	$0x01020304, %eax
	mov	$3, %ecx
	rep stosl
	cmpl	$0x01020304, 0x828(%rbx)
	jne	bad
	cmpl	$0, 0x82c(%rbx)
	jne	bad
	mov	0x100000(%rbx), %eax	/* nobody */
	cmp	$-1, %eax
	jne	bad
	in	$0x99, %al
	cmp	$0xff, %al
	jne	bad
	say	'm'
	done	0
bad:	done	1
	guest_data
