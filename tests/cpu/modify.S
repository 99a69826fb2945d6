/* Code that changes: a processor's own next instruction, in its own page and across a page's end; and a function that one processor
 * changes while another, which serializes by CPUID, calls it. Prints "sc1:m". */
#include "guest.inc"
	.set	ROUNDS, 300
	.set	FUNCTION, 0x40ffd	/* mov $imm32, %eax lies in two pages */
	.code16
	.globl	_start
_start:
	enter_protected
	enter_long
	/* What is written is what is executed, from the next instruction on. */
	mov	$1, %ecx
	movl	$77, 1f + 1(%rip)
1:	mov	$5, %eax
	cmp	$77, %eax
	jne	bad
	/* The same in a loop, so that the block was decoded before. */
2:	mov	%ecx, 3f + 1(%rip)
3:	mov	$0, %eax
	cmp	%ecx, %eax
	jne	bad
	inc	%ecx
	cmp	$20, %ecx
	jb	2b
	say	's'
	mov	$FUNCTION, %ebx
	movb	$0xb8, (%rbx)
	movb	$0xc3, 5(%rbx)
	mov	$0x01010101, %ecx
4:	mov	%ecx, 1(%rbx)
	call	*%rbx
	cmp	%ecx, %eax
	jne	bad
	add	$0x01010101, %ecx
	jnc	4b
	say	'c'
	movl	$0, 1(%rbx)
	start_second second
5:	pause
	cmpl	$0, ready
	je	5b
	say	'1'
	say	':'
	mov	$1, %esi
	/* Byte by byte: the other may see a mixture, but in the end this. */
6:	movzx	%sil, %eax
	imul	$0x01010101, %eax
	mov	%al, 1(%rbx)
	mov	%al, 4(%rbx)
	mov	%ax, 2(%rbx)
7:	pause
	cmp	%eax, seen
	jne	7b
	inc	%esi
	cmp	$ROUNDS, %esi
	jb	6b
	say	'm'
	done	0
bad:	done	1

	.code16
second:
	second_enters_long
	movl	$1, ready
	mov	$FUNCTION, %esi
3:	xor	%eax, %eax
	cpuid
	call	*%rsi
	mov	%eax, seen
	jmp	3b
	.balign	4
ready:	.long	0
seen:	.long	0
	guest_data
