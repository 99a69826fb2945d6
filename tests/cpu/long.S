/* Long mode: 64-bit operands, RIP-relative addresses, a page fault and its error code and CR2, an invalid opcode, a
 * general protection fault by a non-canonical address, SYSCALL's registers. Prints "L6PUGS". */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	say	'L'
	mov	$0x123456789abcdef0, %rax
	mov	%rax, %r15
	rol	$8, %r15
	movabs	$0x3456789abcdef012, %rbx
	cmp	%rbx, %r15
	jne	bad
	mov	$-1, %eax		/* clears the upper half */
	shr	$32, %rax
	jnz	bad
	mov	value(%rip), %rax
	imul	$3, %rax, %rax
	movabs	$0x300000003, %rbx
	cmp	%rbx, %rax
	jne	bad
	say	'6'
	gate64	14, pf
	gate64	6, ud
	gate64	13, gp
	lidt	idtr
	/* 4 GiB and beyond are not mapped. */
	movabs	$0x123456789, %rbx
	lea	1f(%rip), %r10
	mov	(%rbx), %eax
	jmp	bad
1:	mov	%cr2, %rax
	cmp	%rbx, %rax
	jne	bad
	cmp	$0, %r11
	jne	bad
	say	'P'
	lea	2f(%rip), %r10
	ud2
	jmp	bad
2:	say	'U'
	movabs	$0x8000000000000000, %rbx
	lea	3f(%rip), %r10
	mov	%eax, (%rbx)
	jmp	bad
3:	cmp	$0, %r11
	jne	bad
	say	'G'
	/* SYSCALL: CS and SS from STAR, RCX the return address, R11 the flags. */
	mov	$0xc0000081, %ecx
	xor	%eax, %eax
	mov	$CODE64, %edx
	wrmsr
	mov	$0xc0000082, %ecx
	lea	target(%rip), %rax
	xor	%edx, %edx
	wrmsr
	mov	$0xc0000084, %ecx
	mov	$1, %eax		/* CF off */
	xor	%edx, %edx
	wrmsr
	stc
	syscall
back:	jmp	bad
target:	jc	bad
	test	$1, %r11b
	jz	bad
	lea	back(%rip), %rax
	cmp	%rax, %rcx
	jne	bad
	mov	%cs, %ax
	cmp	$CODE64, %ax
	jne	bad
	say	'S'
	done	0
bad:	done	1

pf:	pop	%r11
	mov	%r10, (%rsp)
	iretq
gp:	pop	%r11
	mov	%r10, (%rsp)
	iretq
ud:	mov	%r10, (%rsp)
	iretq
	.balign	8
value:	.quad	0x100000001
	guest_data
