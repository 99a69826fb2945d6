/* KVM's interface for its guests: the signature, hypercalls by both instructions, the clock's page and the date, waking a
 * processor that has halted with interrupts off, an interrupt to two at once; none of it for user mode. Prints "CHTWKIU". */
#include "guest.inc"
	.set	CLOCK_PAGE, 0x51000
	.set	DATE, 0x51040
	.set	MSR_DATE, 0x4b564d00
	.set	MSR_CLOCK, 0x4b564d01
	.set	KICK, 5
	.set	SEND_IPI, 10
	.set	USER_DATA, 0x23
	.set	USER_CODE, 0x2b

	.macro	write_msr msr value
	mov	$\msr, %ecx
	xor	%edx, %edx
	mov	$\value, %eax
	wrmsr
	.endm
	.macro	enable_apic
	mov	$APIC, %edx
	movl	$0x1ff, 0xf0(%rdx)
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	gate64	0x40, count
	lidt	idtr
	enable_apic

	mov	$0x40000000, %eax
	cpuid
	cmp	$0x4b4d564b, %ebx
	jne	bad
	cmp	$0x564b4d56, %ecx
	jne	bad
	cmp	$0x4d, %edx
	jne	bad
	say	'C'

	mov	$999, %eax
	vmcall
	cmp	$-1000, %rax
	jne	bad
	mov	$999, %eax
	vmmcall
	cmp	$-1000, %rax
	jne	bad
	say	'H'

	write_msr MSR_CLOCK, CLOCK_PAGE + 1
	rdmsr
	cmp	$CLOCK_PAGE + 1, %eax
	jne	bad
	mov	CLOCK_PAGE, %esi
	test	$1, %esi
	jnz	bad
	test	%esi, %esi
	jz	bad
	cmpl	$0, CLOCK_PAGE + 24
	je	bad
	write_msr MSR_CLOCK, CLOCK_PAGE + 1
	cmp	%esi, CLOCK_PAGE
	je	bad
	/* No memory is there: the write does nothing. */
	write_msr MSR_CLOCK, 0xd0000001
	say	'T'
	write_msr MSR_DATE, DATE
	cmpl	$0, DATE + 4
	je	bad
	say	'W'

	start_second second
1:	pause
	cmpl	$1, ready
	jne	1b
	mov	$KICK, %eax
	xor	%ebx, %ebx
	mov	$1, %ecx
	vmcall
	test	%rax, %rax
	jnz	bad
2:	pause
	cmpl	$2, ready
	jne	2b
	/* Nobody: no error. */
	mov	$KICK, %eax
	mov	$77, %ecx
	vmcall
	say	'K'

	sti
	mov	$SEND_IPI, %eax
	mov	$3, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$0x40, %esi
	vmcall
	cmp	$2, %rax
	jne	bad
3:	pause
	cmpl	$2, counted
	jne	3b
	/* From an id that nobody has. */
	mov	$SEND_IPI, %eax
	mov	$-1, %rdx
	vmcall
	test	%rax, %rax
	jnz	bad
	cli
	say	'I'

	/* User mode, and back by SYSCALL. */
	orl	$4, TABLES
	orl	$4, TABLES + 0x1000
	orl	$4, TABLES + 0x2000
	mov	%cr3, %rax
	mov	%rax, %cr3
	movabs	$0x00cff3000000ffff, %rax
	mov	%rax, gdt_more
	movabs	$0x00affb000000ffff, %rax
	mov	%rax, gdt_more + 8
	mov	$0xc0000081, %ecx
	xor	%eax, %eax
	mov	$CODE64, %edx
	wrmsr
	write_msr 0xc0000082, from_user
	pushq	$USER_DATA
	pushq	$0x6000
	pushq	$2
	pushq	$USER_CODE
	pushq	$user
	iretq
user:	mov	$KICK, %eax
	mov	$1, %ecx
	vmcall
	syscall
from_user:
	cmp	$-1, %rax
	jne	bad
	say	'U'
	done	0
bad:	done	1

count:	push	%rdx
	lock incl counted
	mov	$APIC, %edx
	movl	$0, 0xb0(%rdx)
	pop	%rdx
	iretq

	.code16
second:
	second_enters_long
	lidt	idtr
	enable_apic
	movl	$1, ready
	hlt			/* interrupts are off */
	movl	$2, ready
	sti
4:	hlt
	jmp	4b
	.balign	4
ready:	.long	0
counted: .long	0
	guest_data
