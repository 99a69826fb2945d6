/* Counts in RBX for ever. */
	.code16
	.globl	_start
_start:
	mov	$0x1234, %cx
1:	inc	%ebx
	jmp	1b
