/* Page faults in long mode with their error codes and CR2: not present, read only with and without WP, reserved bits,
 * no-execute, the user's view, SMAP and SMEP where the processor has them; accessed and dirty bits; INVLPG. Prints
 * "PWRXADIUS". */
#include "guest.inc"
	.set	USER_CODE, 0x23
	.set	USER_DATA, 0x2b
	.set	TSS, 0x30

	/* Page n of the window, at 0x40000 + n pages; rbx: its address. */
	.macro	page n, bits
	movabs	$0x40000 + 0x1000 * \n + \bits, %rax
	mov	%rax, TABLE + 8 * \n
	mov	$WINDOW + 0x1000 * \n, %ebx
	invlpg	(%rbx)
	.endm

	/* The same at rbx. */
	.macro	faults_there error, insn:vararg
	faults	\error, \insn
	.if	\error >= 0
	cmp	%rbx, %r9
	jne	bad
	.endif
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	gate64	14, pf
	gate64	13, gp
	lidt	idtr
	mov	$0xc0000080, %ecx	/* NXE */
	rdmsr
	or	$0x800, %eax
	wrmsr
	open_window

	page	0, 0
	faults_there	0, mov (%rbx), %eax
	faults_there	2, mov %eax, (%rbx)
	faults_there	2, lock incl (%rbx)
	say	'P'
	page	1, 1
	faults_there	-1, mov (%rbx), %eax
	faults_there	-1, mov %eax, (%rbx)	/* WP is off */
	mov	%cr0, %rax
	bts	$16, %rax
	mov	%rax, %cr0
	faults_there	3, mov %eax, (%rbx)
	faults_there	3, addl $1, (%rbx)
	say	'W'
	page	2, 0x0008000000000003	/* an address bit that no processor has */
	faults_there	9, mov (%rbx), %eax
	faults_there	11, mov %eax, (%rbx)
	say	'R'
	page	3, 0x8000000000000003
	movb	$0xc3, (%rbx)		/* ret */
	push	%rbx
	lea	1f(%rip), %r10
	mov	$-1, %r11
	call	*%rbx
1:	pop	%rax			/* the return address */
	cmp	$0x11, %r11
	jne	bad
	pop	%rbx
	page	3, 3
	mov	$-1, %r11
	call	*%rbx
	cmp	$-1, %r11
	jne	bad
	say	'X'
	page	4, 3
	testb	$0x60, TABLE + 8 * 4
	jnz	bad
	mov	(%rbx), %eax
	mov	TABLE + 8 * 4, %al
	and	$0x60, %al
	cmp	$0x20, %al
	jne	bad
	say	'A'
	mov	%eax, (%rbx)
	mov	TABLE + 8 * 4, %al
	and	$0x60, %al
	cmp	$0x60, %al
	jne	bad
	say	'D'
	/* Another page in its place, seen after INVLPG. */
	page	5, 3
	movl	$1, (%rbx)
	page	6, 3
	movl	$2, (%rbx)
	mov	TABLE + 8 * 6, %rax
	mov	%rax, TABLE + 8 * 5
	mov	$WINDOW + 0x5000, %ebx
	invlpg	(%rbx)
	cmpl	$2, (%rbx)
	jne	bad
	say	'I'

	/* The same from ring 3: this code and its stack are the user's. */
	orb	$4, TABLES
	orb	$4, TABLES + 0x1000
	orb	$4, TABLES + 0x2000
	mov	%cr3, %rax
	mov	%rax, %cr3
	movabs	$0x00affb000000ffff, %rax
	mov	%rax, gdt_more
	movabs	$0x00cff3000000ffff, %rax
	mov	%rax, gdt_more + 8
	lea	tss(%rip), %eax
	mov	%eax, %ecx
	shl	$16, %rax
	movabs	$0x0000890000000067, %rdx
	or	%rdx, %rax
	mov	%rax, gdt_more + 16
	movl	$0x78000, tss + 4
	mov	$TSS, %eax
	ltr	%ax
	page	7, 3
	page	8, 5
	page	9, 7
	pushq	$USER_DATA
	pushq	$0x6000
	pushq	$0x2
	pushq	$USER_CODE
	lea	user(%rip), %rax
	push	%rax
	iretq
user:	mov	$WINDOW + 0x7000, %ebx
	faults_there	5, mov (%rbx), %eax
	faults_there	7, mov %eax, (%rbx)
	mov	$WINDOW + 0x8000, %ebx
	faults_there	-1, mov (%rbx), %eax
	faults_there	7, mov %eax, (%rbx)
	mov	$WINDOW + 0x9000, %ebx
	faults_there	-1, mov %eax, (%rbx)
	mov	$WINDOW, %ebx
	faults_there	4, mov (%rbx), %eax
	lea	kernel(%rip), %r10
	hlt				/* #GP(0) leads back to ring 0 */
	jmp	bad
kernel:	cmp	$0, %r11
	jne	bad
	say	'U'

	/* Without SMAP and SMEP there is nothing to be seen; with them the user's pages are not for the supervisor. */
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	bt	$20, %ebx
	jnc	end
	andb	$~4, TABLES + 0x2000	/* the code, the stack and the tables are the supervisor's again */
	mov	%cr3, %rax
	mov	%rax, %cr3
	mov	$WINDOW + 0x9000, %ebx
	mov	%cr4, %rax
	bts	$21, %rax
	mov	%rax, %cr4
	faults_there	1, mov (%rbx), %eax
	faults_there	3, mov %eax, (%rbx)
	stac
	faults_there	-1, mov (%rbx), %eax
	clac
	faults_there	1, mov (%rbx), %eax
end:	say	'S'
	done	0
bad:	done	1

pf:	page_fault
gp:	pop	%r11
	mov	$0x70000, %esp
	jmp	*%r10
	.balign	8
tss:	.fill	26, 4, 0
	guest_data
