/*
 * A kernel for machine.bats: booted by PVH (-DPVH) or multiboot, it says how, with which command line and initial RAM
 * disk, then does what single letters of serial input ask: o power off, r reset, t triple fault, p panic, 2 start the
 * second processor, which prints a 2; m write to 64 MiB and read it back. With the command line "columns" it prints the
 * width of its virtio console as a character whenever that changes, and powers off at Z (90).
 */
	.set	COM1, 0x3f8
	.set	APIC, 0xfee00000

#ifdef PVH
	.section .note, "a", @note
	.balign	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	pvh
#else
	.section .head, "ax"
	.balign	4
	.long	0x1badb002, 0, -0x1badb002
#endif

	.text
	.code32
	.globl	_start
_start:
	mov	$0x90000, %esp
	mov	$multiboot, %esi
	cmp	$0x2badb002, %eax
	jne	bad
	call	puts
	mov	16(%ebx), %esi
	call	puts
	cmpl	$1, 20(%ebx)
	jne	1f
	mov	24(%ebx), %edx
	mov	4(%edx), %ecx
	mov	(%edx), %esi
	sub	%esi, %ecx
	jmp	module
1:	jmp	commands
pvh:
	mov	$0x90000, %esp
	mov	$pvh_name, %esi
	cmpl	$0x336ec578, (%ebx)
	jne	bad
	call	puts
	mov	24(%ebx), %esi
	cmpl	$0x756c6f63, (%esi)
	je	columns
	call	puts
	cmpl	$1, 12(%ebx)
	jne	commands
	mov	16(%ebx), %edx
	mov	8(%edx), %ecx
	mov	(%edx), %esi
module:
	push	%esi
	mov	$module_name, %esi
	call	puts
	pop	%esi
1:	lodsb
	call	putc
	loop	1b
commands:
	mov	$'>', %al
	call	putc
next:
	call	getc
	cmp	$'o', %al
	je	off
	cmp	$'r', %al
	je	reset
	cmp	$'t', %al
	je	triple
	cmp	$'p', %al
	je	panic
	cmp	$'2', %al
	je	second
	cmp	$'m', %al
	je	memory
	jmp	next
off:	mov	$0x604, %dx
	mov	$0x3400, %ax
	out	%ax, %dx
	hlt
reset:	mov	$0xcf9, %dx
	mov	$6, %al
	out	%al, %dx
	hlt
triple:	lidt	none
	ud2
panic:	mov	$0x505, %dx
	mov	$1, %al
	out	%al, %dx
	hlt
memory:	movl	$0x12345678, 0x3fffffc
	cmpl	$0x12345678, 0x3fffffc
	jne	bad
	mov	$'m', %al
	call	putc
	jmp	next
second:	movl	$code16, 0x8000
	mov	$code16, %esi
	mov	$0x8000, %edi
	mov	$code16_end - code16, %ecx
	rep movsb
	mov	$APIC, %ebx
	movl	$0x1ff, 0xf0(%ebx)
	movl	$0x01000000, 0x310(%ebx)
	movl	$0x4500, 0x300(%ebx)
	movl	$0x01000000, 0x310(%ebx)
	movl	$0x4608, 0x300(%ebx)
	jmp	next
	/* The console is 1af4:1043 on bus 0; its own configuration is in BAR 0, page 2. */
columns: mov	$0x80000000, %ebx
1:	mov	%ebx, %eax
	call	pci_read
	cmp	$0x10431af4, %eax
	je	2f
	add	$0x800, %ebx
	cmp	$0x80010000, %ebx
	jb	1b
	jmp	bad
2:	lea	0x10(%ebx), %eax
	call	pci_read
	and	$~15, %eax
	mov	%eax, %edi
	xor	%ebx, %ebx
3:	mov	0x2000(%edi), %ax
	cmp	%ax, %bx
	je	3b
	mov	%eax, %ebx
	call	putc
	cmp	$'Z', %al
	jne	3b
	jmp	off
pci_read:
	mov	$0xcf8, %dx
	out	%eax, %dx
	mov	$0xcfc, %dx
	in	%dx, %eax
	ret
bad:	mov	$'!', %al
	call	putc
	jmp	off

putc:	push	%edx
	push	%eax
	mov	$COM1 + 5, %dx
1:	in	%dx, %al
	test	$0x20, %al
	jz	1b
	pop	%eax
	mov	$COM1, %dx
	out	%al, %dx
	pop	%edx
	ret
getc:	mov	$COM1 + 5, %dx
1:	in	%dx, %al
	test	$1, %al
	jz	1b
	mov	$COM1, %dx
	in	%dx, %al
	ret
puts:	lodsb
	test	%al, %al
	jz	1f
	call	putc
	jmp	puts
1:	mov	$' ', %al
	jmp	putc

	.code16
code16:	mov	$COM1, %dx
	mov	$'2', %al
	out	%al, %dx
1:	hlt
	jmp	1b
code16_end:
	.code32
multiboot: .asciz "multiboot"
pvh_name: .asciz "pvh"
module_name: .asciz "module"
none:	.word	0
	.long	0
	.section .note.GNU-stack, "", @progbits
