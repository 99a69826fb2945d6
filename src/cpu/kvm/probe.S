/*
 * What kvm_measure() runs in 64-bit guest kernel mode, at guest address 0x1000 with a stack and 2 MiB of
 * identity mapping. Each step that was survived is written to port 0x10; r8 is the count for the loop, rbx
 * points to 4 KiB of zeroes. Position independent. The IDT has an entry for int3 only, which leads to
 * probe_int3, so that any other fault is a triple one.
 */
	.section .rodata.kvm_probe, "a", @progbits
	.globl kvm_probe_code, kvm_probe_int3, kvm_probe_end
	.balign 16
kvm_probe_code:
	mov	$1, %al
	out	%al, $0x10
1:	dec	%r8
	jnz	1b
	mov	$2, %al
	out	%al, $0x10

	xor	%edx, %edx
	xor	%ecx, %ecx
	xor	%eax, %eax
	mov	%rbx, %r9
	lock cmpxchg16b (%r9)
	mov	$3, %al
	out	%al, $0x10

	fxsave64 64(%rbx)
	mov	$4, %al
	out	%al, $0x10

	mov	$3, %eax
	xrstor64 1024(%rbx)
	mov	$5, %al
	out	%al, $0x10

	int3
	mov	$6, %al
	out	%al, $0x10
2:	hlt
	jmp	2b

kvm_probe_int3:
	iretq
kvm_probe_end:
	.section .note.GNU-stack, "", @progbits
