/* The init program as bytes: init.c makes a memory file of them. */
	.section .rodata
	.balign 16
	.globl init_program, init_program_end
	.type init_program, @object
init_program:
	.incbin INIT_PROGRAM
	.globl init_program_end
init_program_end:
	.size init_program, init_program_end - init_program
	.section .note.GNU-stack, "", %progbits
