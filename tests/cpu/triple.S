/* A fault with an empty interrupt table. */
#include "guest.inc"
	.code16
	.globl	_start
_start:
	enter_protected
	say	't'
	lidt	none
	ud2
	done	1
none:	.word	0
	.long	0
	guest_data
