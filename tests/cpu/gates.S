/* Protected mode beyond flat segments: a call gate from ring 3 with parameters, an interrupt from ring 3 and back, a task
 * switch by CALL and back by IRET, vm86 with an INT that the monitor gets, LAR, LSL and VERR. Prints "CITVL". */
#include "guest.inc"
	.set	USER_CODE, 0x23
	.set	USER_DATA, 0x2b
	.set	TSS, 0x30
	.set	TSS2, 0x38
	.set	GATE, 0x43

	/* Entry n of the IDT: a 32-bit interrupt gate of this DPL. */
	.macro	gate32 n, handler, dpl
	mov	$\handler, %eax
	mov	%ax, IDT + 8 * \n
	movw	$CODE32, IDT + 8 * \n + 2
	movw	$0x8e00 + 0x2000 * \dpl, IDT + 8 * \n + 4
	shr	$16, %eax
	mov	%ax, IDT + 8 * \n + 6
	.endm
	/* A descriptor of an available 32-bit task state. */
	.macro	describe selector, tss
	mov	$\tss, %eax
	movw	$0x67, gdt + \selector
	mov	%ax, gdt + \selector + 2
	shr	$16, %eax
	mov	%al, gdt + \selector + 4
	movb	$0x89, gdt + \selector + 5
	.endm

	.code16
	.globl	_start
_start:
	enter_protected
	movl	$0x0000ffff, gdt + 0x20
	movl	$0x00cffb00, gdt + 0x24
	movl	$0x0000ffff, gdt + 0x28
	movl	$0x00cff300, gdt + 0x2c
	describe TSS, tss
	describe TSS2, tss2
	movl	$0x70000, tss + 4
	movl	$DATA, tss + 8
	mov	$gate, %eax		/* a call gate of DPL 3 with two parameters */
	mov	%ax, gdt + 0x40
	movw	$CODE32, gdt + 0x42
	movw	$0xec02, gdt + 0x44
	shr	$16, %eax
	mov	%ax, gdt + 0x46
	mov	$TSS, %ax
	ltr	%ax
	gate32	13, gp, 0
	gate32	0x40, service, 3
	lidt	idtr

	pushl	$USER_DATA
	pushl	$0x6000
	pushl	$0x3002			/* IOPL 3: ring 3 prints, too */
	pushl	$USER_CODE
	pushl	$user
	iret
user:	mov	$USER_DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	pushl	$0x11
	pushl	$0x22
	lcall	$GATE, $0		/* takes the parameters off */
	cmp	$0x33, %eax
	jne	bad
	cmp	$0x6000, %esp
	jne	bad
	mov	%cs, %ax
	cmp	$USER_CODE, %ax
	jne	bad
	say	'C'
	xor	%ebx, %ebx
	int	$0x40
	cmp	$0x4040, %ebx
	jne	bad
	say	'I'
	mov	$kernel, %edx
	hlt				/* #GP: back to ring 0 at edx */
	jmp	bad

gate:	mov	%cs, %ax
	cmp	$CODE32, %ax
	jne	bad
	mov	8(%esp), %eax		/* above the return address: 0x22, then 0x11, then the old stack */
	add	12(%esp), %eax
	cmpl	$USER_DATA, 20(%esp)
	jne	bad
	lret	$8
service:
	cmpl	$USER_CODE, 4(%esp)
	jne	bad
	mov	$0x4040, %ebx
	iret
gp:	pop	%ecx			/* the error code */
	mov	$0x70000, %esp
	mov	$DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	jmp	*%edx

kernel:	test	%ecx, %ecx
	jnz	bad
	/* To another task and back. */
	movl	$task, tss2 + 0x20
	movl	$0x2, tss2 + 0x24
	movl	$0x77, tss2 + 0x28	/* eax */
	movl	$0x68000, tss2 + 0x38
	movl	$DATA, tss2 + 0x48
	movl	$CODE32, tss2 + 0x4c
	movl	$DATA, tss2 + 0x50
	movl	$DATA, tss2 + 0x54
	mov	$0x1234, %esi
	lcall	$TSS2, $0
	cmp	$0x1234, %esi
	jne	bad
	str	%ax
	cmp	$TSS, %ax
	jne	bad
	testb	$2, gdt + TSS2 + 5	/* no more busy */
	jnz	bad
	mov	%cr0, %eax		/* TS is set */
	test	$8, %al
	jz	bad
	clts
	say	'T'

	/* vm86 at 0x9000:0; INT with IOPL 0 is #GP(0), with the frame of vm86. */
	movl	$0x40cd, 0x90000
	gate32	13, monitor, 0
	pushl	$0
	pushl	$0
	pushl	$0
	pushl	$0x9000			/* ES, then SS, ESP */
	pushl	$0x5000
	pushl	$0x1000
	pushl	$0x20002
	pushl	$0x9000
	pushl	$0
	iret
monitor:
	cmpl	$0, (%esp)
	jne	bad
	cmpl	$0x9000, 8(%esp)
	jne	bad
	testl	$0x20000, 12(%esp)
	jz	bad
	cmpl	$0x1000, 16(%esp)
	jne	bad
	cmpl	$0x9000, 24(%esp)
	jne	bad
	mov	%ds, %ax
	test	%ax, %ax
	jnz	bad
	mov	$DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	$0x70000, %esp
	say	'V'

	mov	$DATA, %ecx
	lar	%ecx, %eax
	jnz	bad
	and	$0xfffeff, %eax
	cmp	$0xcf9200, %eax
	jne	bad
	lsl	%ecx, %eax
	jnz	bad
	cmp	$0xffffffff, %eax
	jne	bad
	mov	$GATE & ~7, %ecx
	lsl	%ecx, %eax		/* a gate has no limit */
	jz	bad
	mov	$CODE32, %cx
	verr	%cx
	jnz	bad
	verw	%cx
	jz	bad
	say	'L'
	done	0
bad:	done	1
task:	cmp	$0x77, %eax
	jne	bad
	str	%ax
	cmp	$TSS2, %ax
	jne	bad
	pushf
	testl	$0x4000, (%esp)		/* NT */
	jz	bad
	cmpw	$TSS, tss2		/* the link back */
	jne	bad
	popf
	iret
	.balign	8
tss:	.fill	26, 4, 0
tss2:	.fill	26, 4, 0
	guest_data
