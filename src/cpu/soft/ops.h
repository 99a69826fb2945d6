#pragma once
/*
 * The operations, in alphabetical order: name, and how disassemblers call it (where several forms of
 * one mnemonic do different things they are different operations here).
 */
/* clang-format off */
#define OPS(X) \
	X(AAA, "aaa") X(AAD, "aad") X(AAM, "aam") X(AAS, "aas") X(ADC, "adc") X(ADCX, "adcx") \
	X(ADD, "add") X(ADDPD, "addpd") X(ADDPS, "addps") X(ADDSD, "addsd") X(ADDSS, "addss") \
	X(ADDSUBPD, "addsubpd") X(ADDSUBPS, "addsubps") X(ADOX, "adox") X(AESDEC, "aesdec") \
	X(AESDECLAST, "aesdeclast") X(AESENC, "aesenc") X(AESENCLAST, "aesenclast") \
	X(AESIMC, "aesimc") X(AESKEYGENASSIST, "aeskeygenassist") X(AND, "and") X(ANDN, "andn") \
	X(ANDNPD, "andnpd") X(ANDNPS, "andnps") X(ANDPD, "andpd") X(ANDPS, "andps") X(ARPL, "arpl") \
	X(BEXTR, "bextr") X(BLENDPD, "blendpd") X(BLENDPS, "blendps") X(BLENDVPD, "blendvpd") \
	X(BLENDVPS, "blendvps") X(BLSI, "blsi") X(BLSMSK, "blsmsk") X(BLSR, "blsr") \
	X(BOUND, "bound") X(BSF, "bsf") X(BSR, "bsr") X(BSWAP, "bswap") X(BT, "bt") X(BTC, "btc") \
	X(BTR, "btr") X(BTS, "bts") X(BZHI, "bzhi") X(CALL, "call") X(CALL_FAR, "call") \
	X(CALL_FAR_IND, "call") X(CALL_IND, "call") X(CBW, "cbw") X(CLAC, "clac") X(CLC, "clc") \
	X(CLD, "cld") X(CLFLUSH, "clflush") X(CLFLUSHOPT, "clflushopt") X(CLI, "cli") \
	X(CLTS, "clts") X(CLWB, "clwb") X(CMC, "cmc") X(CMOVCC, "cmov") X(CMP, "cmp") \
	X(CMPPD, "cmppd") X(CMPPS, "cmpps") X(CMPS, "cmps") X(CMPSD, "cmpsd") X(CMPSS, "cmpss") \
	X(CMPXCHG, "cmpxchg") X(CMPXCHG16B, "cmpxchg16b") X(CMPXCHG8B, "cmpxchg8b") \
	X(COMISD, "comisd") X(COMISS, "comiss") X(CPUID, "cpuid") X(CRC32, "crc32") \
	X(CVTDQ2PD, "cvtdq2pd") X(CVTDQ2PS, "cvtdq2ps") X(CVTPD2DQ, "cvtpd2dq") \
	X(CVTPD2PI, "cvtpd2pi") X(CVTPD2PS, "cvtpd2ps") X(CVTPI2PD, "cvtpi2pd") \
	X(CVTPI2PS, "cvtpi2ps") X(CVTPS2DQ, "cvtps2dq") X(CVTPS2PD, "cvtps2pd") \
	X(CVTPS2PI, "cvtps2pi") X(CVTSD2SI, "cvtsd2si") X(CVTSD2SS, "cvtsd2ss") \
	X(CVTSI2SD, "cvtsi2sd") X(CVTSI2SS, "cvtsi2ss") X(CVTSS2SD, "cvtss2sd") \
	X(CVTSS2SI, "cvtss2si") X(CVTTPD2DQ, "cvttpd2dq") X(CVTTPD2PI, "cvttpd2pi") \
	X(CVTTPS2DQ, "cvttps2dq") X(CVTTPS2PI, "cvttps2pi") X(CVTTSD2SI, "cvttsd2si") \
	X(CVTTSS2SI, "cvttss2si") X(CWD, "cwd") X(DAA, "daa") X(DAS, "das") X(DEC, "dec") \
	X(DIV, "div") X(DIVPD, "divpd") X(DIVPS, "divps") X(DIVSD, "divsd") X(DIVSS, "divss") \
	X(DPPD, "dppd") X(DPPS, "dpps") X(EMMS, "emms") X(ENTER, "enter") X(EXTRACTPS, "extractps") \
	X(F2XM1, "f2xm1") X(FABS, "fabs") X(FADD, "fadd") X(FADDP, "faddp") X(FBLD, "fbld") \
	X(FBSTP, "fbstp") X(FCHS, "fchs") X(FCMOVB, "fcmovb") X(FCMOVBE, "fcmovbe") \
	X(FCMOVE, "fcmove") X(FCMOVNB, "fcmovnb") X(FCMOVNBE, "fcmovnbe") X(FCMOVNE, "fcmovne") \
	X(FCMOVNU, "fcmovnu") X(FCMOVU, "fcmovu") X(FCOM, "fcom") X(FCOMI, "fcomi") \
	X(FCOMIP, "fcomip") X(FCOMP, "fcomp") X(FCOMPP, "fcompp") X(FCOS, "fcos") \
	X(FDECSTP, "fdecstp") X(FDISI8087, "fdisi8087_nop") X(FDIV, "fdiv") X(FDIVP, "fdivp") \
	X(FDIVR, "fdivr") X(FDIVRP, "fdivrp") X(FENI8087, "feni8087_nop") X(FFREE, "ffree") \
	X(FFREEP, "ffreep") X(FIADD, "fiadd") X(FICOM, "ficom") X(FICOMP, "ficomp") \
	X(FIDIV, "fidiv") X(FIDIVR, "fidivr") X(FILD, "fild") X(FIMUL, "fimul") \
	X(FINCSTP, "fincstp") X(FIST, "fist") X(FISTP, "fistp") X(FISTTP, "fisttp") \
	X(FISUB, "fisub") X(FISUBR, "fisubr") X(FLD, "fld") X(FLD1, "fld1") X(FLDCW, "fldcw") \
	X(FLDENV, "fldenv") X(FLDL2E, "fldl2e") X(FLDL2T, "fldl2t") X(FLDLG2, "fldlg2") \
	X(FLDLN2, "fldln2") X(FLDPI, "fldpi") X(FLDZ, "fldz") X(FMUL, "fmul") X(FMULP, "fmulp") \
	X(FNCLEX, "fnclex") X(FNINIT, "fninit") X(FNOP, "fnop") X(FNSAVE, "fnsave") \
	X(FNSTCW, "fnstcw") X(FNSTENV, "fnstenv") X(FNSTSW, "fnstsw") X(FPATAN, "fpatan") \
	X(FPREM, "fprem") X(FPREM1, "fprem1") X(FPTAN, "fptan") X(FRNDINT, "frndint") \
	X(FRSTOR, "frstor") X(FSCALE, "fscale") X(FSETPM287, "fsetpm287_nop") X(FSIN, "fsin") \
	X(FSINCOS, "fsincos") X(FSQRT, "fsqrt") X(FST, "fst") X(FSTP, "fstp") X(FSTPNCE, "fstpnce") \
	X(FSUB, "fsub") X(FSUBP, "fsubp") X(FSUBR, "fsubr") X(FSUBRP, "fsubrp") X(FTST, "ftst") \
	X(FUCOM, "fucom") X(FUCOMI, "fucomi") X(FUCOMIP, "fucomip") X(FUCOMP, "fucomp") \
	X(FUCOMPP, "fucompp") X(FWAIT, "fwait") X(FXAM, "fxam") X(FXCH, "fxch") \
	X(FXRSTOR, "fxrstor") X(FXSAVE, "fxsave") X(FXTRACT, "fxtract") X(FYL2X, "fyl2x") \
	X(FYL2XP1, "fyl2xp1") X(HADDPD, "haddpd") X(HADDPS, "haddps") X(HLT, "hlt") \
	X(HSUBPD, "hsubpd") X(HSUBPS, "hsubps") X(IDIV, "idiv") X(IMUL, "imul") X(IMUL1, "imul") \
	X(IN, "in") X(INC, "inc") X(INS, "ins") X(INSERTPS, "insertps") X(INT, "int") \
	X(INT1, "int1") X(INT3, "int3") X(INTO, "into") X(INVD, "invd") X(INVLPG, "invlpg") \
	X(INVPCID, "invpcid") X(IRET, "iret") X(JCC, "j") X(JCXZ, "jcxz") X(JMP, "jmp") \
	X(JMP_FAR, "jmp") X(JMP_FAR_IND, "jmp") X(JMP_IND, "jmp") X(LAHF, "lahf") X(LAR, "lar") \
	X(LDDQU, "lddqu") X(LDMXCSR, "ldmxcsr") X(LDS, "lds") X(LEA, "lea") X(LEAVE, "leave") \
	X(LES, "les") X(LFENCE, "lfence") X(LFS, "lfs") X(LGDT, "lgdt") X(LGS, "lgs") \
	X(LIDT, "lidt") X(LLDT, "lldt") X(LMSW, "lmsw") X(LODS, "lods") X(LOOP, "loop") \
	X(LOOPE, "loope") X(LOOPNE, "loopne") X(LSL, "lsl") X(LSS, "lss") X(LTR, "ltr") \
	X(LZCNT, "lzcnt") X(MASKMOVDQU, "maskmovdqu") X(MASKMOVQ, "maskmovq") X(MAXPD, "maxpd") \
	X(MAXPS, "maxps") X(MAXSD, "maxsd") X(MAXSS, "maxss") X(MFENCE, "mfence") X(MINPD, "minpd") \
	X(MINPS, "minps") X(MINSD, "minsd") X(MINSS, "minss") X(MOV, "mov") X(MOVAPD, "movapd") \
	X(MOVAPS, "movaps") X(MOVBE, "movbe") X(MOVD, "movd") X(MOVDDUP, "movddup") \
	X(MOVDQ2Q, "movdq2q") X(MOVDQA, "movdqa") X(MOVDQU, "movdqu") X(MOVHLPS, "movhlps") \
	X(MOVHPD, "movhpd") X(MOVHPS, "movhps") X(MOVLHPS, "movlhps") X(MOVLPD, "movlpd") \
	X(MOVLPS, "movlps") X(MOVMSKPD, "movmskpd") X(MOVMSKPS, "movmskps") X(MOVNTDQ, "movntdq") \
	X(MOVNTDQA, "movntdqa") X(MOVNTI, "movnti") X(MOVNTPD, "movntpd") X(MOVNTPS, "movntps") \
	X(MOVNTQ, "movntq") X(MOVQ, "movq") X(MOVQ2DQ, "movq2dq") X(MOVS, "movs") X(MOVSD, "movsd") \
	X(MOVSHDUP, "movshdup") X(MOVSLDUP, "movsldup") X(MOVSS, "movss") X(MOVSX, "movsx") \
	X(MOVSXD, "movsxd") X(MOVUPD, "movupd") X(MOVUPS, "movups") X(MOVZX, "movzx") \
	X(MOV_FROM_CR, "mov") X(MOV_FROM_DR, "mov") X(MOV_FROM_SEG, "mov") X(MOV_TO_CR, "mov") \
	X(MOV_TO_DR, "mov") X(MOV_TO_SEG, "mov") X(MPSADBW, "mpsadbw") X(MUL, "mul") \
	X(MULPD, "mulpd") X(MULPS, "mulps") X(MULSD, "mulsd") X(MULSS, "mulss") X(MULX, "mulx") \
	X(NEG, "neg") X(NOP, "nop") X(NOT, "not") X(OR, "or") X(ORPD, "orpd") X(ORPS, "orps") \
	X(OUT, "out") X(OUTS, "outs") X(PABSB, "pabsb") X(PABSD, "pabsd") X(PABSW, "pabsw") \
	X(PACKSSDW, "packssdw") X(PACKSSWB, "packsswb") X(PACKUSDW, "packusdw") \
	X(PACKUSWB, "packuswb") X(PADDB, "paddb") X(PADDD, "paddd") X(PADDQ, "paddq") \
	X(PADDSB, "paddsb") X(PADDSW, "paddsw") X(PADDUSB, "paddusb") X(PADDUSW, "paddusw") \
	X(PADDW, "paddw") X(PALIGNR, "palignr") X(PAND, "pand") X(PANDN, "pandn") X(PAUSE, "pause") \
	X(PAVGB, "pavgb") X(PAVGW, "pavgw") X(PBLENDVB, "pblendvb") X(PBLENDW, "pblendw") \
	X(PCLMULQDQ, "pclmulqdq") X(PCMPEQB, "pcmpeqb") X(PCMPEQD, "pcmpeqd") X(PCMPEQQ, "pcmpeqq") \
	X(PCMPEQW, "pcmpeqw") X(PCMPESTRI, "pcmpestri") X(PCMPESTRM, "pcmpestrm") \
	X(PCMPGTB, "pcmpgtb") X(PCMPGTD, "pcmpgtd") X(PCMPGTQ, "pcmpgtq") X(PCMPGTW, "pcmpgtw") \
	X(PCMPISTRI, "pcmpistri") X(PCMPISTRM, "pcmpistrm") X(PDEP, "pdep") X(PEXT, "pext") \
	X(PEXTRB, "pextrb") X(PEXTRD, "pextrd") X(PEXTRQ, "pextrq") X(PEXTRW, "pextrw") \
	X(PHADDD, "phaddd") X(PHADDSW, "phaddsw") X(PHADDW, "phaddw") X(PHMINPOSUW, "phminposuw") \
	X(PHSUBD, "phsubd") X(PHSUBSW, "phsubsw") X(PHSUBW, "phsubw") X(PINSRB, "pinsrb") \
	X(PINSRD, "pinsrd") X(PINSRQ, "pinsrq") X(PINSRW, "pinsrw") X(PMADDUBSW, "pmaddubsw") \
	X(PMADDWD, "pmaddwd") X(PMAXSB, "pmaxsb") X(PMAXSD, "pmaxsd") X(PMAXSW, "pmaxsw") \
	X(PMAXUB, "pmaxub") X(PMAXUD, "pmaxud") X(PMAXUW, "pmaxuw") X(PMINSB, "pminsb") \
	X(PMINSD, "pminsd") X(PMINSW, "pminsw") X(PMINUB, "pminub") X(PMINUD, "pminud") \
	X(PMINUW, "pminuw") X(PMOVMSKB, "pmovmskb") X(PMOVSXBD, "pmovsxbd") X(PMOVSXBQ, "pmovsxbq") \
	X(PMOVSXBW, "pmovsxbw") X(PMOVSXDQ, "pmovsxdq") X(PMOVSXWD, "pmovsxwd") \
	X(PMOVSXWQ, "pmovsxwq") X(PMOVZXBD, "pmovzxbd") X(PMOVZXBQ, "pmovzxbq") \
	X(PMOVZXBW, "pmovzxbw") X(PMOVZXDQ, "pmovzxdq") X(PMOVZXWD, "pmovzxwd") \
	X(PMOVZXWQ, "pmovzxwq") X(PMULDQ, "pmuldq") X(PMULHRSW, "pmulhrsw") X(PMULHUW, "pmulhuw") \
	X(PMULHW, "pmulhw") X(PMULLD, "pmulld") X(PMULLW, "pmullw") X(PMULUDQ, "pmuludq") \
	X(POP, "pop") X(POPA, "popa") X(POPCNT, "popcnt") X(POPF, "popf") X(POR, "por") \
	X(PREFETCH, "prefetch") X(PREFETCHW, "prefetchw") X(PSADBW, "psadbw") X(PSHUFB, "pshufb") \
	X(PSHUFD, "pshufd") X(PSHUFHW, "pshufhw") X(PSHUFLW, "pshuflw") X(PSHUFW, "pshufw") \
	X(PSIGNB, "psignb") X(PSIGND, "psignd") X(PSIGNW, "psignw") X(PSLLD, "pslld") \
	X(PSLLDQ, "pslldq") X(PSLLQ, "psllq") X(PSLLW, "psllw") X(PSRAD, "psrad") X(PSRAW, "psraw") \
	X(PSRLD, "psrld") X(PSRLDQ, "psrldq") X(PSRLQ, "psrlq") X(PSRLW, "psrlw") X(PSUBB, "psubb") \
	X(PSUBD, "psubd") X(PSUBQ, "psubq") X(PSUBSB, "psubsb") X(PSUBSW, "psubsw") \
	X(PSUBUSB, "psubusb") X(PSUBUSW, "psubusw") X(PSUBW, "psubw") X(PTEST, "ptest") \
	X(PUNPCKHBW, "punpckhbw") X(PUNPCKHDQ, "punpckhdq") X(PUNPCKHQDQ, "punpckhqdq") \
	X(PUNPCKHWD, "punpckhwd") X(PUNPCKLBW, "punpcklbw") X(PUNPCKLDQ, "punpckldq") \
	X(PUNPCKLQDQ, "punpcklqdq") X(PUNPCKLWD, "punpcklwd") X(PUSH, "push") X(PUSHA, "pusha") \
	X(PUSHF, "pushf") X(PXOR, "pxor") X(RCL, "rcl") X(RCPPS, "rcpps") X(RCPSS, "rcpss") \
	X(RCR, "rcr") X(RDFSBASE, "rdfsbase") X(RDGSBASE, "rdgsbase") X(RDMSR, "rdmsr") \
	X(RDPID, "rdpid") X(RDPKRU, "rdpkru") X(RDPMC, "rdpmc") X(RDRAND, "rdrand") X(RDSEED, "rdseed") \
	X(RDTSC, "rdtsc") X(RDTSCP, "rdtscp") X(RET, "ret") X(RETF, "ret") X(ROL, "rol") \
	X(ROR, "ror") X(RORX, "rorx") X(ROUNDPD, "roundpd") X(ROUNDPS, "roundps") \
	X(ROUNDSD, "roundsd") X(ROUNDSS, "roundss") X(RSM, "rsm") X(RSQRTPS, "rsqrtps") \
	X(RSQRTSS, "rsqrtss") X(SAHF, "sahf") X(SALC, "salc") X(SAR, "sar") X(SARX, "sarx") \
	X(SBB, "sbb") X(SCAS, "scas") X(SETCC, "set") X(SFENCE, "sfence") X(SGDT, "sgdt") \
	X(SHA1MSG1, "sha1msg1") X(SHA1MSG2, "sha1msg2") X(SHA1NEXTE, "sha1nexte") \
	X(SHA1RNDS4, "sha1rnds4") X(SHA256MSG1, "sha256msg1") X(SHA256MSG2, "sha256msg2") \
	X(SHA256RNDS2, "sha256rnds2") X(SHL, "shl") X(SHLD, "shld") X(SHLX, "shlx") X(SHR, "shr") \
	X(SHRD, "shrd") X(SHRX, "shrx") X(SHUFPD, "shufpd") X(SHUFPS, "shufps") X(SIDT, "sidt") \
	X(SLDT, "sldt") X(SMSW, "smsw") X(SQRTPD, "sqrtpd") X(SQRTPS, "sqrtps") X(SQRTSD, "sqrtsd") \
	X(SQRTSS, "sqrtss") X(STAC, "stac") X(STC, "stc") X(STD, "std") X(STI, "sti") \
	X(STMXCSR, "stmxcsr") X(STOS, "stos") X(STR, "str") X(SUB, "sub") X(SUBPD, "subpd") \
	X(SUBPS, "subps") X(SUBSD, "subsd") X(SUBSS, "subss") X(SWAPGS, "swapgs") \
	X(SYSCALL, "syscall") X(SYSENTER, "sysenter") X(SYSEXIT, "sysexit") X(SYSRET, "sysret") \
	X(TEST, "test") X(TZCNT, "tzcnt") X(UCOMISD, "ucomisd") X(UCOMISS, "ucomiss") X(UD0, "ud0") \
	X(UD1, "ud1") X(UD2, "ud2") X(UNPCKHPD, "unpckhpd") X(UNPCKHPS, "unpckhps") \
	X(UNPCKLPD, "unpcklpd") X(UNPCKLPS, "unpcklps") X(VADDPD, "vaddpd") X(VADDPS, "vaddps") \
	X(VADDSD, "vaddsd") X(VADDSS, "vaddss") X(VADDSUBPD, "vaddsubpd") X(VADDSUBPS, "vaddsubps") \
	X(VAESDEC, "vaesdec") X(VAESDECLAST, "vaesdeclast") X(VAESENC, "vaesenc") \
	X(VAESENCLAST, "vaesenclast") X(VAESIMC, "vaesimc") X(VAESKEYGENASSIST, "vaeskeygenassist") \
	X(VANDNPD, "vandnpd") X(VANDNPS, "vandnps") X(VANDPD, "vandpd") X(VANDPS, "vandps") \
	X(VBLENDPD, "vblendpd") X(VBLENDPS, "vblendps") X(VBLENDVPD, "vblendvpd") \
	X(VBLENDVPS, "vblendvps") X(VBROADCASTF128, "vbroadcastf128") \
	X(VBROADCASTI128, "vbroadcasti128") X(VBROADCASTSD, "vbroadcastsd") \
	X(VBROADCASTSS, "vbroadcastss") X(VCMPPD, "vcmppd") X(VCMPPS, "vcmpps") X(VCMPSD, "vcmpsd") \
	X(VCMPSS, "vcmpss") X(VCOMISD, "vcomisd") X(VCOMISS, "vcomiss") X(VCVTDQ2PD, "vcvtdq2pd") \
	X(VCVTDQ2PS, "vcvtdq2ps") X(VCVTPD2DQ, "vcvtpd2dq") X(VCVTPD2PS, "vcvtpd2ps") \
	X(VCVTPH2PS, "vcvtph2ps") X(VCVTPS2DQ, "vcvtps2dq") X(VCVTPS2PD, "vcvtps2pd") \
	X(VCVTPS2PH, "vcvtps2ph") X(VCVTSD2SI, "vcvtsd2si") X(VCVTSD2SS, "vcvtsd2ss") \
	X(VCVTSI2SD, "vcvtsi2sd") X(VCVTSI2SS, "vcvtsi2ss") X(VCVTSS2SD, "vcvtss2sd") \
	X(VCVTSS2SI, "vcvtss2si") X(VCVTTPD2DQ, "vcvttpd2dq") X(VCVTTPS2DQ, "vcvttps2dq") \
	X(VCVTTSD2SI, "vcvttsd2si") X(VCVTTSS2SI, "vcvttss2si") X(VDIVPD, "vdivpd") \
	X(VDIVPS, "vdivps") X(VDIVSD, "vdivsd") X(VDIVSS, "vdivss") X(VDPPD, "vdppd") \
	X(VDPPS, "vdpps") X(VERR, "verr") X(VERW, "verw") X(VEXTRACTF128, "vextractf128") \
	X(VEXTRACTI128, "vextracti128") X(VEXTRACTPS, "vextractps") X(VFMADD132PD, "vfmadd132pd") \
	X(VFMADD132PS, "vfmadd132ps") X(VFMADD132SD, "vfmadd132sd") X(VFMADD132SS, "vfmadd132ss") \
	X(VFMADD213PD, "vfmadd213pd") X(VFMADD213PS, "vfmadd213ps") X(VFMADD213SD, "vfmadd213sd") \
	X(VFMADD213SS, "vfmadd213ss") X(VFMADD231PD, "vfmadd231pd") X(VFMADD231PS, "vfmadd231ps") \
	X(VFMADD231SD, "vfmadd231sd") X(VFMADD231SS, "vfmadd231ss") \
	X(VFMADDSUB132PD, "vfmaddsub132pd") X(VFMADDSUB132PS, "vfmaddsub132ps") \
	X(VFMADDSUB213PD, "vfmaddsub213pd") X(VFMADDSUB213PS, "vfmaddsub213ps") \
	X(VFMADDSUB231PD, "vfmaddsub231pd") X(VFMADDSUB231PS, "vfmaddsub231ps") \
	X(VFMSUB132PD, "vfmsub132pd") X(VFMSUB132PS, "vfmsub132ps") X(VFMSUB132SD, "vfmsub132sd") \
	X(VFMSUB132SS, "vfmsub132ss") X(VFMSUB213PD, "vfmsub213pd") X(VFMSUB213PS, "vfmsub213ps") \
	X(VFMSUB213SD, "vfmsub213sd") X(VFMSUB213SS, "vfmsub213ss") X(VFMSUB231PD, "vfmsub231pd") \
	X(VFMSUB231PS, "vfmsub231ps") X(VFMSUB231SD, "vfmsub231sd") X(VFMSUB231SS, "vfmsub231ss") \
	X(VFMSUBADD132PD, "vfmsubadd132pd") X(VFMSUBADD132PS, "vfmsubadd132ps") \
	X(VFMSUBADD213PD, "vfmsubadd213pd") X(VFMSUBADD213PS, "vfmsubadd213ps") \
	X(VFMSUBADD231PD, "vfmsubadd231pd") X(VFMSUBADD231PS, "vfmsubadd231ps") \
	X(VFNMADD132PD, "vfnmadd132pd") X(VFNMADD132PS, "vfnmadd132ps") \
	X(VFNMADD132SD, "vfnmadd132sd") X(VFNMADD132SS, "vfnmadd132ss") \
	X(VFNMADD213PD, "vfnmadd213pd") X(VFNMADD213PS, "vfnmadd213ps") \
	X(VFNMADD213SD, "vfnmadd213sd") X(VFNMADD213SS, "vfnmadd213ss") \
	X(VFNMADD231PD, "vfnmadd231pd") X(VFNMADD231PS, "vfnmadd231ps") \
	X(VFNMADD231SD, "vfnmadd231sd") X(VFNMADD231SS, "vfnmadd231ss") \
	X(VFNMSUB132PD, "vfnmsub132pd") X(VFNMSUB132PS, "vfnmsub132ps") \
	X(VFNMSUB132SD, "vfnmsub132sd") X(VFNMSUB132SS, "vfnmsub132ss") \
	X(VFNMSUB213PD, "vfnmsub213pd") X(VFNMSUB213PS, "vfnmsub213ps") \
	X(VFNMSUB213SD, "vfnmsub213sd") X(VFNMSUB213SS, "vfnmsub213ss") \
	X(VFNMSUB231PD, "vfnmsub231pd") X(VFNMSUB231PS, "vfnmsub231ps") \
	X(VFNMSUB231SD, "vfnmsub231sd") X(VFNMSUB231SS, "vfnmsub231ss") X(VGATHERDPD, "vgatherdpd") \
	X(VGATHERDPS, "vgatherdps") X(VGATHERQPD, "vgatherqpd") X(VGATHERQPS, "vgatherqps") \
	X(VHADDPD, "vhaddpd") X(VHADDPS, "vhaddps") X(VHSUBPD, "vhsubpd") X(VHSUBPS, "vhsubps") \
	X(VINSERTF128, "vinsertf128") X(VINSERTI128, "vinserti128") X(VINSERTPS, "vinsertps") \
	X(VLDDQU, "vlddqu") X(VLDMXCSR, "vldmxcsr") X(VMASKMOVDQU, "vmaskmovdqu") \
	X(VMASKMOVPD, "vmaskmovpd") X(VMASKMOVPS, "vmaskmovps") X(VMAXPD, "vmaxpd") \
	X(VMCALL, "vmcall") X(VMMCALL, "vmmcall") \
	X(VMAXPS, "vmaxps") X(VMAXSD, "vmaxsd") X(VMAXSS, "vmaxss") X(VMINPD, "vminpd") \
	X(VMINPS, "vminps") X(VMINSD, "vminsd") X(VMINSS, "vminss") X(VMOVAPD, "vmovapd") \
	X(VMOVAPS, "vmovaps") X(VMOVD, "vmovd") X(VMOVDDUP, "vmovddup") X(VMOVDQA, "vmovdqa") \
	X(VMOVDQU, "vmovdqu") X(VMOVHLPS, "vmovhlps") X(VMOVHPD, "vmovhpd") X(VMOVHPS, "vmovhps") \
	X(VMOVLHPS, "vmovlhps") X(VMOVLPD, "vmovlpd") X(VMOVLPS, "vmovlps") \
	X(VMOVMSKPD, "vmovmskpd") X(VMOVMSKPS, "vmovmskps") X(VMOVNTDQ, "vmovntdq") \
	X(VMOVNTDQA, "vmovntdqa") X(VMOVNTPD, "vmovntpd") X(VMOVNTPS, "vmovntps") X(VMOVQ, "vmovq") \
	X(VMOVSD, "vmovsd") X(VMOVSHDUP, "vmovshdup") X(VMOVSLDUP, "vmovsldup") X(VMOVSS, "vmovss") \
	X(VMOVUPD, "vmovupd") X(VMOVUPS, "vmovups") X(VMPSADBW, "vmpsadbw") X(VMULPD, "vmulpd") \
	X(VMULPS, "vmulps") X(VMULSD, "vmulsd") X(VMULSS, "vmulss") X(VORPD, "vorpd") \
	X(VORPS, "vorps") X(VPABSB, "vpabsb") X(VPABSD, "vpabsd") X(VPABSW, "vpabsw") \
	X(VPACKSSDW, "vpackssdw") X(VPACKSSWB, "vpacksswb") X(VPACKUSDW, "vpackusdw") \
	X(VPACKUSWB, "vpackuswb") X(VPADDB, "vpaddb") X(VPADDD, "vpaddd") X(VPADDQ, "vpaddq") \
	X(VPADDSB, "vpaddsb") X(VPADDSW, "vpaddsw") X(VPADDUSB, "vpaddusb") X(VPADDUSW, "vpaddusw") \
	X(VPADDW, "vpaddw") X(VPALIGNR, "vpalignr") X(VPAND, "vpand") X(VPANDN, "vpandn") \
	X(VPAVGB, "vpavgb") X(VPAVGW, "vpavgw") X(VPBLENDD, "vpblendd") X(VPBLENDVB, "vpblendvb") \
	X(VPBLENDW, "vpblendw") X(VPBROADCASTB, "vpbroadcastb") X(VPBROADCASTD, "vpbroadcastd") \
	X(VPBROADCASTQ, "vpbroadcastq") X(VPBROADCASTW, "vpbroadcastw") X(VPCLMULQDQ, "vpclmulqdq") \
	X(VPCMPEQB, "vpcmpeqb") X(VPCMPEQD, "vpcmpeqd") X(VPCMPEQQ, "vpcmpeqq") \
	X(VPCMPEQW, "vpcmpeqw") X(VPCMPESTRI, "vpcmpestri") X(VPCMPESTRM, "vpcmpestrm") \
	X(VPCMPGTB, "vpcmpgtb") X(VPCMPGTD, "vpcmpgtd") X(VPCMPGTQ, "vpcmpgtq") \
	X(VPCMPGTW, "vpcmpgtw") X(VPCMPISTRI, "vpcmpistri") X(VPCMPISTRM, "vpcmpistrm") \
	X(VPERM2F128, "vperm2f128") X(VPERM2I128, "vperm2i128") X(VPERMD, "vpermd") \
	X(VPERMILPD, "vpermilpd") X(VPERMILPS, "vpermilps") X(VPERMPD, "vpermpd") \
	X(VPERMPS, "vpermps") X(VPERMQ, "vpermq") X(VPEXTRB, "vpextrb") X(VPEXTRD, "vpextrd") \
	X(VPEXTRQ, "vpextrq") X(VPEXTRW, "vpextrw") X(VPGATHERDD, "vpgatherdd") \
	X(VPGATHERDQ, "vpgatherdq") X(VPGATHERQD, "vpgatherqd") X(VPGATHERQQ, "vpgatherqq") \
	X(VPHADDD, "vphaddd") X(VPHADDSW, "vphaddsw") X(VPHADDW, "vphaddw") \
	X(VPHMINPOSUW, "vphminposuw") X(VPHSUBD, "vphsubd") X(VPHSUBSW, "vphsubsw") \
	X(VPHSUBW, "vphsubw") X(VPINSRB, "vpinsrb") X(VPINSRD, "vpinsrd") X(VPINSRQ, "vpinsrq") \
	X(VPINSRW, "vpinsrw") X(VPMADDUBSW, "vpmaddubsw") X(VPMADDWD, "vpmaddwd") \
	X(VPMASKMOVD, "vpmaskmovd") X(VPMASKMOVQ, "vpmaskmovq") X(VPMAXSB, "vpmaxsb") \
	X(VPMAXSD, "vpmaxsd") X(VPMAXSW, "vpmaxsw") X(VPMAXUB, "vpmaxub") X(VPMAXUD, "vpmaxud") \
	X(VPMAXUW, "vpmaxuw") X(VPMINSB, "vpminsb") X(VPMINSD, "vpminsd") X(VPMINSW, "vpminsw") \
	X(VPMINUB, "vpminub") X(VPMINUD, "vpminud") X(VPMINUW, "vpminuw") X(VPMOVMSKB, "vpmovmskb") \
	X(VPMOVSXBD, "vpmovsxbd") X(VPMOVSXBQ, "vpmovsxbq") X(VPMOVSXBW, "vpmovsxbw") \
	X(VPMOVSXDQ, "vpmovsxdq") X(VPMOVSXWD, "vpmovsxwd") X(VPMOVSXWQ, "vpmovsxwq") \
	X(VPMOVZXBD, "vpmovzxbd") X(VPMOVZXBQ, "vpmovzxbq") X(VPMOVZXBW, "vpmovzxbw") \
	X(VPMOVZXDQ, "vpmovzxdq") X(VPMOVZXWD, "vpmovzxwd") X(VPMOVZXWQ, "vpmovzxwq") \
	X(VPMULDQ, "vpmuldq") X(VPMULHRSW, "vpmulhrsw") X(VPMULHUW, "vpmulhuw") \
	X(VPMULHW, "vpmulhw") X(VPMULLD, "vpmulld") X(VPMULLW, "vpmullw") X(VPMULUDQ, "vpmuludq") \
	X(VPOR, "vpor") X(VPSADBW, "vpsadbw") X(VPSHUFB, "vpshufb") X(VPSHUFD, "vpshufd") \
	X(VPSHUFHW, "vpshufhw") X(VPSHUFLW, "vpshuflw") X(VPSIGNB, "vpsignb") X(VPSIGND, "vpsignd") \
	X(VPSIGNW, "vpsignw") X(VPSLLD, "vpslld") X(VPSLLDQ, "vpslldq") X(VPSLLQ, "vpsllq") \
	X(VPSLLVD, "vpsllvd") X(VPSLLVQ, "vpsllvq") X(VPSLLW, "vpsllw") X(VPSRAD, "vpsrad") \
	X(VPSRAVD, "vpsravd") X(VPSRAW, "vpsraw") X(VPSRLD, "vpsrld") X(VPSRLDQ, "vpsrldq") \
	X(VPSRLQ, "vpsrlq") X(VPSRLVD, "vpsrlvd") X(VPSRLVQ, "vpsrlvq") X(VPSRLW, "vpsrlw") \
	X(VPSUBB, "vpsubb") X(VPSUBD, "vpsubd") X(VPSUBQ, "vpsubq") X(VPSUBSB, "vpsubsb") \
	X(VPSUBSW, "vpsubsw") X(VPSUBUSB, "vpsubusb") X(VPSUBUSW, "vpsubusw") X(VPSUBW, "vpsubw") \
	X(VPTEST, "vptest") X(VPUNPCKHBW, "vpunpckhbw") X(VPUNPCKHDQ, "vpunpckhdq") \
	X(VPUNPCKHQDQ, "vpunpckhqdq") X(VPUNPCKHWD, "vpunpckhwd") X(VPUNPCKLBW, "vpunpcklbw") \
	X(VPUNPCKLDQ, "vpunpckldq") X(VPUNPCKLQDQ, "vpunpcklqdq") X(VPUNPCKLWD, "vpunpcklwd") \
	X(VPXOR, "vpxor") X(VRCPPS, "vrcpps") X(VRCPSS, "vrcpss") X(VROUNDPD, "vroundpd") \
	X(VROUNDPS, "vroundps") X(VROUNDSD, "vroundsd") X(VROUNDSS, "vroundss") \
	X(VRSQRTPS, "vrsqrtps") X(VRSQRTSS, "vrsqrtss") X(VSHUFPD, "vshufpd") X(VSHUFPS, "vshufps") \
	X(VSQRTPD, "vsqrtpd") X(VSQRTPS, "vsqrtps") X(VSQRTSD, "vsqrtsd") X(VSQRTSS, "vsqrtss") \
	X(VSTMXCSR, "vstmxcsr") X(VSUBPD, "vsubpd") X(VSUBPS, "vsubps") X(VSUBSD, "vsubsd") \
	X(VSUBSS, "vsubss") X(VTESTPD, "vtestpd") X(VTESTPS, "vtestps") X(VUCOMISD, "vucomisd") \
	X(VUCOMISS, "vucomiss") X(VUNPCKHPD, "vunpckhpd") X(VUNPCKHPS, "vunpckhps") \
	X(VUNPCKLPD, "vunpcklpd") X(VUNPCKLPS, "vunpcklps") X(VXORPD, "vxorpd") X(VXORPS, "vxorps") \
	X(VZEROALL, "vzeroall") X(VZEROUPPER, "vzeroupper") X(WBINVD, "wbinvd") \
	X(WRFSBASE, "wrfsbase") X(WRGSBASE, "wrgsbase") X(WRMSR, "wrmsr") X(WRPKRU, "wrpkru") X(XADD, "xadd") \
	X(XCHG, "xchg") X(XGETBV, "xgetbv") X(XLAT, "xlat") X(XOR, "xor") X(XORPD, "xorpd") \
	X(XORPS, "xorps") X(XRSTOR, "xrstor") X(XRSTORS, "xrstors") X(XSAVE, "xsave") \
	X(XSAVEC, "xsavec") X(XSAVEOPT, "xsaveopt") X(XSAVES, "xsaves") X(XSETBV, "xsetbv")
/* clang-format on */

#define OP_ENUM(name, text) OP_##name,
enum op { OPS(OP_ENUM) OP_COUNT };
#undef OP_ENUM
