/* Start-up of a second processor by INIT and SIPI through the local APIC; each adds to a counter with a locked
 * instruction, the second sends the first an interrupt. Prints "1:2I". */
#include "guest.inc"
	.set	ROUNDS, 200
	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	gate64	0x40, wake
	lidt	idtr
	say	'1'
	say	':'
	start_second second
1:	pause
	cmpl	$1, ready
	jne	1b
	movl	$2, ready
	mov	$ROUNDS, %ecx
2:	lock incl counter
	loop	2b
	sti
3:	hlt
	cmpl	$1, woken
	jne	3b
	cmpl	$2 * ROUNDS, counter
	jne	bad
	say	'I'
	done	0
bad:	done	1
wake:
	movl	$1, woken
	mov	$APIC, %edx
	movl	$0, 0xb0(%rdx)
	iretq

	.code16
second:
	second_enters_long
	mov	$APIC, %ebx
	movl	$0x1ff, 0xf0(%rbx)
	mov	0x20(%rbx), %eax	/* the id */
	shr	$24, %eax
	cmp	$1, %eax
	jne	bad
	say	'2'
	movl	$1, ready
3:	pause
	cmpl	$2, ready
	jne	3b
	mov	$ROUNDS, %ecx
4:	lock incl counter
	loop	4b
	movl	$0, 0x310(%rbx)
	movl	$0x4040, 0x300(%rbx)	/* vector 0x40 to 0 */
5:	hlt
	jmp	5b
	.balign	4
ready:	.long	0
counter: .long	0
woken:	.long	0
	guest_data
