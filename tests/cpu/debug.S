/* Debug exceptions in long mode: single steps, breakpoints on code and data, DR6 that keeps only what is true, DR7.GD, DR4 and
 * DR5, INT1, what MOV SS holds back, and TF through SYSCALL; alignment checks in ring 3. Prints "SCDGEIMTA". */
#include "guest.inc"
	.set	USER_DATA, 0x23
	.set	USER_CODE, 0x2b
	.set	TSS, 0x30
	.set	TSS_AT, 0x31000

	/* What the last #DBs were: how many, and DR6 (without the bits that read as ones) and RIP of the last. */
	.macro	debugged count, bits, at
	cmp	$\count, %r12d
	jne	bad
	mov	%r13, %rax
	xor	$0xffff0ff0, %eax
	cmp	$\bits, %eax
	jne	bad
	.ifnb	\at
	lea	\at(%rip), %rax
	cmp	%rax, %r14
	jne	bad
	.endif
	xor	%r12d, %r12d
	.endm
	.macro	dr7 value
	mov	$\value, %eax
	mov	%rax, %dr7
	.endm
	.macro	trap_flag
	pushf
	orl	$0x100, (%rsp)
	popf
	.endm
	.macro	no_trap_flag
	pushf
	andl	$~0x100, (%rsp)
	popf
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	movl	$0x0000ffff, gdt + USER_DATA - 3
	movl	$0x00cff300, gdt + USER_DATA + 1
	movl	$0x0000ffff, gdt + USER_CODE - 3
	movl	$0x00affb00, gdt + USER_CODE + 1
	movl	$TSS_AT << 16 | 0x67, gdt + TSS
	movl	$0x00008900 | TSS_AT >> 16, gdt + TSS + 4
	enter_long
	gate64	1, db
	gate64	3, bp
	gate64	6, ud
	gate64	17, ac
	lidt	idtr
	movl	$0x6f000, TSS_AT + 4
	mov	$TSS, %eax
	ltr	%ax
	/* Ring 3 may use all that is mapped. */
	mov	$TABLES, %edi
	orl	$4, (%rdi)
	orl	$4, 0x1000(%rdi)
	xor	%ecx, %ecx
1:	orl	$4, 0x2000(%rdi, %rcx, 8)
	inc	%ecx
	cmp	$8, %ecx
	jb	1b
	mov	%cr3, %rax
	mov	%rax, %cr3
	xor	%r12d, %r12d

	/* After each instruction but the one that sets TF; CPUID too. */
	trap_flag
	nop
	xor	%eax, %eax
	cpuid
	no_trap_flag
after:	debugged 6, 0x4000, after
	say	'S'

	/* A breakpoint on code comes before it, and RF gets past. Bits of others go, BS stays as it is. */
	lea	here(%rip), %rax
	mov	%rax, %dr2
	mov	$0x4002, %eax
	mov	%rax, %dr6
	dr7	0x420
here:	nop
	dr7	0x400
	debugged 1, 0x4004, here
	xor	%eax, %eax
	mov	%rax, %dr6
	say	'C'

	/* On data it comes after: four bytes written; a read does not count, nor what is beside. */
	lea	word(%rip), %rbx
	mov	%rbx, %dr1
	dr7	0x00d00408
	mov	(%rbx), %eax
	mov	%eax, 4(%rbx)
	mov	%eax, -4(%rbx)
	debugged 0, 0x4004
	mov	%al, 3(%rbx)
1:	debugged 1, 2, 1b
	incl	(%rbx)
2:	debugged 1, 2, 2b
	dr7	0x00f00408		/* reads, too */
	cmpb	$0, 1(%rbx)
3:	debugged 1, 2, 3b
	dr7	0x400
	mov	(%rbx), %eax
	debugged 0, 2
	say	'D'

	/* An access to debug registers that are guarded is the breakpoint. */
	dr7	0x2400
guarded: mov	%dr0, %rcx
	debugged 1, 0x2000, guarded
	mov	%dr7, %rax
	cmp	$0x400, %eax		/* delivered, the guard is off */
	jne	bad
	xor	%eax, %eax
	mov	%rax, %dr6
	say	'G'

	/* DR4 is DR6 unless CR4.DE. */
	.byte	0x0f, 0x21, 0xe0	/* mov %dr4, %rax */
	mov	%dr6, %rcx
	cmp	%rax, %rcx
	jne	bad
	mov	%cr4, %rax
	or	$8, %eax
	mov	%rax, %cr4
	lea	1f(%rip), %r15
	.byte	0x0f, 0x21, 0xe0
	jmp	bad
1:	say	'E'

	/* INT1 is a trap with nothing in DR6. */
	.byte	0xf1
1:	debugged 1, 0, 1b
	say	'I'

	/* A breakpoint on the data of MOV SS comes one instruction later; in a handler that is entered then, at once. */
	movl	$DATA, word(%rip)
	dr7	0x00f00408
	mov	word(%rip), %ss
	nop
1:	debugged 1, 2, 1b
	xor	%r11d, %r11d
	mov	word(%rip), %ss
	int3
	dr7	0x400
	cmp	$1, %r11d
	jne	bad
	debugged 1, 2, bp
	say	'M'

	/* SYSCALL with TF, which it clears, is no step; the SYSRET that sets it is. */
	mov	$0xc0000082, %ecx
	lea	called(%rip), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
	dec	%ecx
	xor	%eax, %eax
	mov	$(USER_DATA - 8) << 16 | CODE64, %edx
	wrmsr
	mov	$0xc0000084, %ecx
	mov	$0x100, %eax
	xor	%edx, %edx
	wrmsr
	xor	%eax, %eax
	mov	%rax, %dr6
	mov	$0x2, %r11d
	lea	user(%rip), %rcx
	sysretq
user:	trap_flag
	syscall
back:	no_trap_flag			/* steps: after SYSRET, PUSHF, AND, POPF */
	debugged 4, 0x4000
	/* Misaligned with AC in ring 3, and CR0.AM. */
	pushf
	orl	$0x40000, (%rsp)
	popf
	lea	word(%rip), %rbx
	mov	(%rbx), %eax
	lea	1f(%rip), %r15
	mov	1(%rbx), %eax
	jmp	bad
1:	lea	2f(%rip), %r15
	mov	%ax, 3(%rbx)
	jmp	bad
2:	mov	3(%rbx), %al
	say	'A'
	done	0
called:	test	%r12d, %r12d
	jnz	bad
	say	'T'
	mov	%cr0, %rax
	bts	$18, %rax
	mov	%rax, %cr0
	/* Ring 3 prints, too. */
	or	$0x3000, %r11d
	sysretq
bad:	done	1

db:	inc	%r12d
	mov	%dr6, %r13
	mov	(%rsp), %r14
	orl	$0x10000, 16(%rsp)	/* RF */
	iretq
bp:	inc	%r11d
	iretq
ud:	mov	%r15, (%rsp)
	iretq
ac:	pop	%rax			/* the error code is 0 */
	test	%eax, %eax
	jnz	bad
	mov	%r15, (%rsp)
	iretq
	.balign	8
	.long	0
word:	.quad	0
	guest_data
