/* Paging without long mode: 32-bit tables with pages of 4 MiB, PAE with its four pointers that are read when CR3 is
 * loaded, reserved bits and no-execute; PCID where it may be switched on; what is not offered (VME, unknown MSRs) is
 * #GP. Prints "4EPRXLVM". */
#include "guest.inc"
	.set	TABLE, 0x21000
	.set	POINTERS, 0x28000
	.set	DIRECTORY, 0x29000
	.set	SMALL, 0x2a000
	.set	WINDOW, 0x800000

	/* This instruction faults with this error code; -1: it does not. */
	.macro	faults32 error, insn:vararg
	movl	$7f, resume
	movl	$-1, got
	\insn
7:	cmpl	$\error, got
	jne	bad
	.endm
	.macro	gate32 n, handler
	mov	$\handler, %eax
	mov	%ax, IDT + 8 * \n
	movw	$CODE32, IDT + 8 * \n + 2
	movw	$0x8e00, IDT + 8 * \n + 4
	shr	$16, %eax
	mov	%ax, IDT + 8 * \n + 6
	.endm
	.macro	set_cr4 bits
	mov	%cr4, %eax
	or	$\bits, %eax
	mov	%eax, %cr4
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	gate32	14, pf
	gate32	13, gp
	lidt	idtr

	/* 4 MiB pages: 0 as it is; WINDOW is at 0 again, read only; a bit beyond the address's width is reserved. */
	mov	$TABLES, %edi
	movl	$0x83, (%edi)
	movl	$0x81, WINDOW >> 20(%edi)
	set_cr4	0x10
	mov	%edi, %cr3
	mov	%cr0, %eax
	or	$0x80010000, %eax
	mov	%eax, %cr0
	mov	$0x5000, %ebx
	movl	$0x1234, (%ebx)
	cmpl	$0x1234, WINDOW(%ebx)
	jne	bad
	faults32	3, movl $1, WINDOW(%ebx)
	mov	WINDOW >> 20(%edi), %eax
	cmp	$0xa1, %eax		/* accessed, not dirty */
	jne	bad
	faults32	0, mov 0xc00000(%ebx), %eax
	movl	$0x200083, 12(%edi)	/* bit 21 */
	faults32	9, mov 0xc00000(%ebx), %eax
	say	'4'
	/* Without PSE it is a table. */
	mov	%cr0, %eax
	btr	$31, %eax
	mov	%eax, %cr0
	mov	%cr4, %eax
	and	$~0x10, %eax
	mov	%eax, %cr4
	movl	$TABLE | 0x83, (%edi)
	movl	$0x8003, TABLE + 0x20
	movl	$0x9003, TABLE + 0x24
	movl	$0x6f003, TABLE + 0x6f * 4
	movl	$0x30003, TABLE + 0x30 * 4
	movl	$0x20003, TABLE + 0x20 * 4
	movl	$0x21003, TABLE + 0x21 * 4
	mov	%cr3, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	bts	$31, %eax
	mov	%eax, %cr0
	faults32	0, mov 0x5000, %eax
	mov	TABLE + 0x20, %eax
	and	$0x20, %eax
	jz	bad
	say	'E'

	/* PAE. A pointer with reserved bits is #GP when it is loaded, and what was loaded stays. */
	mov	%cr0, %eax
	btr	$31, %eax
	mov	%eax, %cr0
	mov	$POINTERS, %edi
	movl	$DIRECTORY + 1, (%edi)
	movl	$0x83, DIRECTORY
	movl	$SMALL + 3, DIRECTORY + WINDOW >> 18
	movl	$0x5003, SMALL
	movl	$0x6003, SMALL + 8
	movl	$0x80000000, SMALL + 12
	set_cr4	0x20
	mov	%edi, %cr3
	mov	%cr0, %eax
	bts	$31, %eax
	mov	%eax, %cr0
	cmpl	$0x1234, WINDOW
	jne	bad
	say	'P'
	movl	$3, 8(%edi)		/* writable is reserved there */
	mov	%cr3, %eax
	faults32	0x100, mov %eax, %cr3
	movl	$0, (%edi)
	mov	WINDOW, %eax		/* the pointers are those of before */
	movl	$DIRECTORY + 1, (%edi)
	movl	$0, 8(%edi)
	mov	%cr3, %eax
	mov	%eax, %cr3
	/* Bit 63 is reserved unless EFER.NXE, bits 62 to 52 always. */
	faults32	9, mov WINDOW + 0x1000, %eax
	say	'R'
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x800, %eax
	wrmsr
	faults32	-1, mov WINDOW + 0x1000, %eax
	movb	$0xc3, 0x6000
	faults32	0x11, call *target
	movl	$0x80100000, SMALL + 12
	invlpg	WINDOW + 0x1000
	faults32	9, mov WINDOW + 0x1000, %eax
	say	'X'

	/* PCID only in long mode; long mode not by CR0 once paging is on. */
	mov	%cr4, %eax
	or	$0x20000, %eax
	faults32	0x100, mov %eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	faults32	0x100, wrmsr
	mov	%cr0, %eax
	btr	$0, %eax		/* paging without protection */
	faults32	0x100, mov %eax, %cr0
	mov	%cr0, %eax
	bts	$29, %eax		/* NW without CD */
	btr	$30, %eax
	faults32	0x100, mov %eax, %cr0
	say	'L'

	/* Not offered: virtual-8086 extensions, as CPUID says. */
	mov	$1, %eax
	cpuid
	mov	%edx, %esi
	and	$2, %esi
	mov	%cr4, %eax
	or	$1, %eax
	test	%esi, %esi
	jnz	1f
	faults32	0x100, mov %eax, %cr4
1:	mov	%cr4, %eax
	or	$0x80000000, %eax
	faults32	0x100, mov %eax, %cr4
	say	'V'
	/* MSRs that no processor has; bits that none has; an address that is none. */
	mov	$0x12345678, %ecx
	faults32	0x100, rdmsr
	faults32	0x100, wrmsr
	mov	$0xc0000080, %ecx
	xor	%edx, %edx
	mov	$0x80000000, %eax
	faults32	0x100, wrmsr
	mov	$0x277, %ecx
	mov	$2, %eax
	faults32	0x100, wrmsr
	mov	$0xc0000082, %ecx
	mov	$0x800000, %edx
	faults32	0x100, wrmsr
	mov	$0, %ecx
	faults32	0x100, rdpmc
	say	'M'
	done	0
bad:	done	1

pf:	popl	got
	push	%eax
	mov	resume, %eax
	mov	%eax, 4(%esp)
	pop	%eax
	iret
gp:	add	$4, %esp
	movl	$0x100, got
	push	%eax
	mov	resume, %eax
	mov	%eax, 4(%esp)
	pop	%eax
	iret
	.balign	4
got:	.long	0
resume:	.long	0
target:	.long	WINDOW + 0x1000
	guest_data
