/* Writes to port 0x80, which a cpu may keep for a while: 1 to 255 and on, with a count of them in memory; now and then
 * another port asks for how many there were. */
#include "guest.inc"
	.set	COUNT, 0x50000
	.set	WRITES, 1000
	.code16
	.globl	_start
_start:
	enter_protected
	xor	%ecx, %ecx
1:	inc	%ecx
	mov	%ecx, COUNT
	mov	%ecx, %eax
	out	%al, $0x80
	test	$63, %cl
	jnz	2f
	in	$0x81, %al
	cmp	%cl, %al
	jne	bad
2:	cmp	$WRITES, %ecx
	jb	1b
	done	0
bad:	done	1
	guest_data
