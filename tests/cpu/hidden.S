/* Bits of CR4 whose features x86-64-v2 lacks: each is #GP, and CR4 stays. Prints "h". */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	gate64	13, gp
	lidt	idtr
	mov	%cr4, %rbx
	/* UMIP, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE, PKS */
	mov	$1 << 11 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 24, %ebp
1:	bsf	%ebp, %ecx
	jz	3f
	btr	%ecx, %ebp
	mov	%rbx, %rax
	bts	%rcx, %rax
	lea	2f(%rip), %r10
	mov	%rax, %cr4
	jmp	bad
2:	mov	%cr4, %rax
	cmp	%rax, %rbx
	je	1b
bad:	done	1
3:	say	'h'
	done	0
gp:	add	$8, %rsp		/* the error code */
	mov	%r10, (%rsp)
	iretq
	guest_data
