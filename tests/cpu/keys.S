/* Protection keys in long mode: of user pages by PKRU, of supervisor pages by IA32_PKRS, with their error codes, CR0.WP, and
 * XSAVE's component; both instructions only with CR4.PKE. Prints "UKWSX". */
#include "guest.inc"
	.set	AREA, 0x50000

	.macro	pkru value
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$\value, %eax
	wrpkru
	.endm
	.macro	pkrs value
	mov	$0x6e1, %ecx
	xor	%edx, %edx
	mov	$\value, %eax
	wrmsr
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	gate64	14, pf
	gate64	13, gp
	gate64	6, gp
	lidt	idtr
	/* Page 0: the user's, key 3; page 1: the supervisor's, key 5; page 2: the user's, key 0. */
	open_window
	mov	$3 << 59 | 0x40007, %rax
	mov	%rax, TABLE
	mov	$5 << 59 | 0x41003, %rax
	mov	%rax, TABLE + 8
	movq	$0x42007, TABLE + 16
	mov	%cr3, %rax
	mov	%rax, %cr3
	mov	$TABLES, %edi
	orl	$4, (%rdi)
	orl	$4, 0x1000(%rdi)
	mov	%cr3, %rax
	mov	%rax, %cr3

	/* Not there before CR4.PKE; neither is a key. */
	mov	$WINDOW, %ebx
	xor	%ecx, %ecx
	faults	99, rdpkru
	faults	-1, mov (%rbx), %eax
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	mov	$WINDOW, %ebx
	test	$0x10, %ecx		/* OSPKE follows */
	jnz	bad
	mov	%cr4, %rax
	or	$0x1400000, %rax	/* PKE, PKS */
	mov	%rax, %cr4
	mov	$7, %eax
	xor	%ecx, %ecx
	mov	%ebx, %esi
	cpuid
	mov	%esi, %ebx
	test	$0x10, %ecx
	jz	bad
	pkru	0x55555515
	xor	%ecx, %ecx
	rdpkru
	cmp	$0x55555515, %eax
	jne	bad
	test	%edx, %edx
	jnz	bad
	mov	$1, %ecx
	faults	99, rdpkru
	say	'U'

	/* Key 3 may be used by what 0x...15 says; then it may not be, then only be read. */
	faults	-1, mov (%rbx), %eax
	pkru	0x40
	faults	0x21, mov (%rbx), %eax
	faults	0x23, mov %eax, (%rbx)
	faults	-1, mov 0x2000(%rbx), %eax
	pkru	0x80
	faults	-1, mov (%rbx), %eax
	faults	-1, mov %eax, (%rbx)	/* CR0.WP is off, and this is the supervisor */
	say	'K'
	mov	%cr0, %rax
	bts	$16, %rax
	mov	%rax, %cr0
	faults	0x23, mov %eax, (%rbx)
	faults	-1, mov (%rbx), %eax
	/* A page that is not there has no key. */
	mov	$3 << 59, %rax
	mov	%rax, TABLE + 24
	faults	0, mov 0x3000(%rbx), %eax
	say	'W'

	/* Supervisor pages have their own rights. */
	pkru	0
	faults	-1, mov %eax, 0x1000(%rbx)
	pkrs	0x400
	faults	0x21, mov 0x1000(%rbx), %eax
	pkrs	0x800
	faults	0x23, mov %eax, 0x1000(%rbx)
	faults	-1, mov 0x1000(%rbx), %eax
	pkrs	0
	mov	$0x6e1, %ecx
	mov	$1, %edx
	faults	99, wrmsr
	say	'S'

	/* XSAVE keeps PKRU where CPUID says, compacted or not. */
	mov	%cr4, %rax
	bts	$18, %rax
	mov	%rax, %cr4
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$0x203, %eax
	xsetbv
	mov	$0xd, %eax
	mov	$9, %ecx
	cpuid
	cmp	$8, %eax
	jne	bad
	mov	%ebx, %esi
	mov	$AREA, %edi
	pkru	0x00bb0030
	mov	$0x200, %eax
	xor	%edx, %edx
	xsave	(%rdi)
	cmpl	$0x00bb0030, (%rdi, %rsi)
	jne	bad
	cmpl	$0x200, 512(%rdi)
	jne	bad
	pkru	0
	mov	$0x200, %eax
	xrstor	(%rdi)
	xor	%ecx, %ecx
	rdpkru
	cmp	$0x00bb0030, %eax
	jne	bad
	mov	$0x200, %eax
	xsavec	(%rdi)
	cmpl	$0x00bb0030, 576(%rdi)
	jne	bad
	/* Not in the image: as after reset. */
	movl	$0, 512(%rdi)
	mov	$0x200, %eax
	xrstor	(%rdi)
	xor	%ecx, %ecx
	rdpkru
	test	%eax, %eax
	jnz	bad
	say	'X'
	done	0
bad:	done	1

pf:	page_fault
gp:	mov	$99, %r11d
	/* #GP has an error code, #UD has none: it is 0, and no return address. */
	cmpq	$0, (%rsp)
	jne	1f
	add	$8, %rsp
1:	mov	%r10, (%rsp)
	iretq
	guest_data
