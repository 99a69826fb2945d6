/* Writes to pages 0x100, 0x17f and 0x180 (one access over both), reads from 0x200. */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	movl	$1, 0x100000
	movl	$-1, 0x17fffe
	mov	0x200000, %eax
	done	0
	guest_data
