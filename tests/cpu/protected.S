/* Protected mode: a limit violation with its error code, ring 3 and back by a gate and the TSS, paging with 4 KiB
 * pages and a page fault. Prints "PGRF". */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	say	'P'
	/* 32-bit gates: 13, 14, and 0x80 for ring 3. */
	mov	$gp, %eax
	mov	$0x8e00, %edx
	mov	$13, %ecx
	call	gate
	mov	$pf, %eax
	mov	$14, %ecx
	call	gate
	mov	$system, %eax
	mov	$0xee00, %edx
	mov	$0x80, %ecx
	call	gate
	lidt	idtr32
	/* A data segment of 4 bytes at the letter. */
	movl	$3, gdt_more
	movl	$0x00409200, gdt_more + 4
	movl	$letters, %eax
	mov	%ax, gdt_more + 2
	shr	$16, %eax
	mov	%al, gdt_more + 4
	mov	$gdt_more - gdt, %ax
	mov	%ax, %fs
	mov	%fs:3, %al
	cmp	$'4', %al
	jne	bad
	movl	$1f, expected
	mov	%fs:1, %eax		/* the last byte is beyond the limit */
	jmp	bad
1:	say	'G'
	/* Ring 3 code and data over everything; a TSS with ring 0's stack. */
	movl	$0x0000ffff, gdt_more + 8
	movl	$0x00cffb00, gdt_more + 12
	movl	$0x0000ffff, gdt_more + 16
	movl	$0x00cff300, gdt_more + 20
	movl	$tss, %eax
	movl	$0x00000067, gdt_more + 24
	movl	$0x00008900, gdt_more + 28
	mov	%ax, gdt_more + 26
	shr	$16, %eax
	mov	%al, gdt_more + 28
	movl	$0x6f000, tss + 4
	movl	$DATA, tss + 8
	mov	$gdt_more + 24 - gdt, %ax
	ltr	%ax
	push	$(gdt_more + 16 - gdt) | 3
	push	$0x6e000
	push	$2
	push	$(gdt_more + 8 - gdt) | 3
	push	$ring3
	iret
ring3:
	mov	%cs, %ax
	and	$3, %al
	cmp	$3, %al
	jne	bad
	mov	$(gdt_more + 16 - gdt) | 3, %ax	/* IRET made DS null */
	mov	%ax, %ds
	/* cli is not for ring 3 with IOPL 0. */
	movl	$1f, expected
	cli
	jmp	bad
1:	mov	$'R', %ecx
	int	$0x80
	ud2
system:
	cmp	$0x6f000 - 20, %esp	/* SS, ESP, EFLAGS, CS, EIP of ring 3 */
	jne	bad
	mov	%cl, %al
	out	%al, $0xe9
	mov	$DATA, %ax
	mov	%ax, %ds
	/* 4 KiB pages for the first 4 MiB, one of them not there. */
	mov	$TABLES, %ebx
	movl	$TABLES + 0x1003, (%ebx)
	mov	$3, %eax
	xor	%ecx, %ecx
1:	mov	%eax, 0x1000(%ebx, %ecx, 4)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$0x400, %ecx
	jb	1b
	movl	$0, 0x1000 + 4 * 0x50(%ebx)
	mov	%ebx, %cr3
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	mov	$0x50123, %edx
	movl	$7, (%edx)		/* the handler maps it, and this is done again */
	cmpl	$7, (%edx)
	jne	bad
	/* Accessed and dirty are set by the processor. */
	mov	0x1000 + 4 * 0x50(%ebx), %eax
	and	$0xfff, %eax
	cmp	$0x63, %eax
	jne	bad
	say	'F'
	done	0
bad:	done	1

gp:	cmpl	$0, (%esp)
	jne	bad
	mov	expected, %eax
	mov	%eax, 4(%esp)
	add	$4, %esp
	iret
pf:	cmpl	$2, (%esp)		/* a write, by the supervisor, not present */
	jne	bad
	mov	%cr2, %eax
	cmp	$0x50123, %eax
	jne	bad
	movl	$0x50003, TABLES + 0x1000 + 4 * 0x50
	add	$4, %esp
	iret
	/* eax: handler, edx: type, ecx: number */
gate:
	mov	%ax, IDT(, %ecx, 8)
	movw	$CODE32, IDT + 2(, %ecx, 8)
	mov	%dx, IDT + 4(, %ecx, 8)
	shr	$16, %eax
	mov	%ax, IDT + 6(, %ecx, 8)
	ret
letters: .ascii	"1234"
	.balign	4
expected: .long	0
idtr32:	.word	0x7ff
	.long	IDT
	.balign	4
tss:	.fill	104
	guest_data
