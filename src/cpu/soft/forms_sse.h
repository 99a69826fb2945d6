/*
 * The MMX, SSE and AVX instructions, each once; for forms_sse.c and forms_vex.c, which define what a row
 * becomes (so this has no include guard):
 *   P(code, prefix, name, feature, flags, w)  packed, two sources: V,W; with VEX V,H,W
 *   S(...)   the same of scalars              PI, SI: the same with an immediate byte
 *   U(code, prefix, name, feature, flags, a, b) one source: the same operands with VEX; UI with immediate
 *   LEGACY(...), VEX(...)  rows of one of the two only
 *   M(code, name, feature, w)  the MMX form of what follows
 * N is the flag of integer instructions: AVX2 for 256 bits.
 */
/* clang-format off */
#ifndef SSE_COMMON
#define SSE_COMMON
#define E(x) SPEC_##x
#define N FORM_L1_AVX2
#define FP FORM_FP
#define AL_ FORM_ALIGNED
#define UN FORM_UNALIGNED
#endif

#define FPOP(code, name) \
	P(code, NP, name##PS, F_SSE, FP, Wx) P(code, P66, name##PD, F_SSE2, FP, Wx) \
	S(code, PF3, name##SS, F_SSE, FP, Wd) S(code, PF2, name##SD, F_SSE2, FP, Wq)
#define INT(code, name) M(code, name, F_MMX, Qq) P(code, P66, name, F_SSE2, N, Wx)
#define INTW(code, name) M(code, name, F_MMX, Qq) P(code, P66, name, F_SSE2, N, Wdq)
#define SHIFT_IMM(code, digit, name) \
	LEGACY(code, NP | D(digit), name, F_MMX, E(Nq), E(Ib)) LEGACY(code, P66 | D(digit), name, F_SSE2, E(Udq), E(Ib)) \
	VEX(code, P66 | D(digit), V##name, F_AVX | N, E(Hx), E(Ux), E(Ib))

#define SSE_0F_ROWS \
	U(0x10, NP, MOVUPS, F_SSE, UN, Vx, Wx) U(0x10, P66, MOVUPD, F_SSE2, UN, Vx, Wx) \
	LEGACY(0x10, PF3, MOVSS, F_SSE, E(Vdq), E(Wd)) LEGACY(0x10, PF2, MOVSD, F_SSE2, E(Vdq), E(Wq)) \
	VEX(0x10, PF3 | MEM, VMOVSS, F_AVX, E(Vdq), E(Md)) VEX(0x10, PF3 | REG, VMOVSS, F_AVX, E(Vdq), E(Hdq), E(Udq)) \
	VEX(0x10, PF2 | MEM, VMOVSD, F_AVX, E(Vdq), E(Mq)) VEX(0x10, PF2 | REG, VMOVSD, F_AVX, E(Vdq), E(Hdq), E(Udq)) \
	U(0x11, NP, MOVUPS, F_SSE, UN, Wx, Vx) U(0x11, P66, MOVUPD, F_SSE2, UN, Wx, Vx) \
	LEGACY(0x11, PF3, MOVSS, F_SSE, E(Wd), E(Vdq)) LEGACY(0x11, PF2, MOVSD, F_SSE2, E(Wq), E(Vdq)) \
	VEX(0x11, PF3 | MEM, VMOVSS, F_AVX, E(Md), E(Vdq)) VEX(0x11, PF3 | REG, VMOVSS, F_AVX, E(Udq), E(Hdq), E(Vdq)) \
	VEX(0x11, PF2 | MEM, VMOVSD, F_AVX, E(Mq), E(Vdq)) VEX(0x11, PF2 | REG, VMOVSD, F_AVX, E(Udq), E(Hdq), E(Vdq)) \
	LEGACY(0x12, NP | MEM, MOVLPS, F_SSE, E(Vdq), E(Mq)) LEGACY(0x12, NP | REG, MOVHLPS, F_SSE, E(Vdq), E(Udq)) \
	LEGACY(0x12, P66, MOVLPD, F_SSE2, E(Vdq), E(Mq)) \
	VEX(0x12, NP | MEM | L0, VMOVLPS, F_AVX, E(Vdq), E(Hdq), E(Mq)) VEX(0x12, NP | REG | L0, VMOVHLPS, F_AVX, E(Vdq), E(Hdq), E(Udq)) \
	VEX(0x12, P66 | L0, VMOVLPD, F_AVX, E(Vdq), E(Hdq), E(Mq)) \
	U(0x12, PF3, MOVSLDUP, F_SSE3, 0, Vx, Wx) U(0x12, PF2, MOVDDUP, F_SSE3, 0, Vx, Wdd) \
	LEGACY(0x13, NP, MOVLPS, F_SSE, E(Mq), E(Vdq)) LEGACY(0x13, P66, MOVLPD, F_SSE2, E(Mq), E(Vdq)) \
	VEX(0x13, NP | L0, VMOVLPS, F_AVX, E(Mq), E(Vdq)) VEX(0x13, P66 | L0, VMOVLPD, F_AVX, E(Mq), E(Vdq)) \
	P(0x14, NP, UNPCKLPS, F_SSE, 0, Wx) P(0x14, P66, UNPCKLPD, F_SSE2, 0, Wx) \
	P(0x15, NP, UNPCKHPS, F_SSE, 0, Wx) P(0x15, P66, UNPCKHPD, F_SSE2, 0, Wx) \
	LEGACY(0x16, NP | MEM, MOVHPS, F_SSE, E(Vdq), E(Mq)) LEGACY(0x16, NP | REG, MOVLHPS, F_SSE, E(Vdq), E(Udq)) \
	LEGACY(0x16, P66, MOVHPD, F_SSE2, E(Vdq), E(Mq)) \
	VEX(0x16, NP | MEM | L0, VMOVHPS, F_AVX, E(Vdq), E(Hdq), E(Mq)) VEX(0x16, NP | REG | L0, VMOVLHPS, F_AVX, E(Vdq), E(Hdq), E(Udq)) \
	VEX(0x16, P66 | L0, VMOVHPD, F_AVX, E(Vdq), E(Hdq), E(Mq)) \
	U(0x16, PF3, MOVSHDUP, F_SSE3, 0, Vx, Wx) \
	LEGACY(0x17, NP, MOVHPS, F_SSE, E(Mq), E(Vdq)) LEGACY(0x17, P66, MOVHPD, F_SSE2, E(Mq), E(Vdq)) \
	VEX(0x17, NP | L0, VMOVHPS, F_AVX, E(Mq), E(Vdq)) VEX(0x17, P66 | L0, VMOVHPD, F_AVX, E(Mq), E(Vdq)) \
	U(0x28, NP, MOVAPS, F_SSE, AL_, Vx, Wx) U(0x28, P66, MOVAPD, F_SSE2, AL_, Vx, Wx) \
	U(0x29, NP, MOVAPS, F_SSE, AL_, Wx, Vx) U(0x29, P66, MOVAPD, F_SSE2, AL_, Wx, Vx) \
	LEGACY(0x2a, NP, CVTPI2PS, F_SSE | FP, E(Vdq), E(Qq)) LEGACY(0x2a, P66, CVTPI2PD, F_SSE2 | FP, E(Vdq), E(Qq)) \
	S(0x2a, PF3, CVTSI2SS, F_SSE, FP, Ey) S(0x2a, PF2, CVTSI2SD, F_SSE2, FP, Ey) \
	U(0x2b, NP, MOVNTPS, F_SSE, AL_, Mx, Vx) U(0x2b, P66, MOVNTPD, F_SSE2, AL_, Mx, Vx) \
	LEGACY(0x2c, NP, CVTTPS2PI, F_SSE | FP, E(Pq), E(Wq)) LEGACY(0x2c, P66, CVTTPD2PI, F_SSE2 | FP, E(Pq), E(Wdq)) \
	U(0x2c, PF3, CVTTSS2SI, F_SSE, FP, Gy, Wd) U(0x2c, PF2, CVTTSD2SI, F_SSE2, FP, Gy, Wq) \
	LEGACY(0x2d, NP, CVTPS2PI, F_SSE | FP, E(Pq), E(Wq)) LEGACY(0x2d, P66, CVTPD2PI, F_SSE2 | FP, E(Pq), E(Wdq)) \
	U(0x2d, PF3, CVTSS2SI, F_SSE, FP, Gy, Wd) U(0x2d, PF2, CVTSD2SI, F_SSE2, FP, Gy, Wq) \
	U(0x2e, NP, UCOMISS, F_SSE, FP, Vdq, Wd) U(0x2e, P66, UCOMISD, F_SSE2, FP, Vdq, Wq) \
	U(0x2f, NP, COMISS, F_SSE, FP, Vdq, Wd) U(0x2f, P66, COMISD, F_SSE2, FP, Vdq, Wq) \
	LEGACY(0x50, NP, MOVMSKPS, F_SSE, E(Gy), E(Udq)) LEGACY(0x50, P66, MOVMSKPD, F_SSE2, E(Gy), E(Udq)) \
	VEX(0x50, NP, VMOVMSKPS, F_AVX, E(Gd), E(Ux)) VEX(0x50, P66, VMOVMSKPD, F_AVX, E(Gd), E(Ux)) \
	U(0x51, NP, SQRTPS, F_SSE, FP, Vx, Wx) U(0x51, P66, SQRTPD, F_SSE2, FP, Vx, Wx) \
	S(0x51, PF3, SQRTSS, F_SSE, FP, Wd) S(0x51, PF2, SQRTSD, F_SSE2, FP, Wq) \
	U(0x52, NP, RSQRTPS, F_SSE, 0, Vx, Wx) S(0x52, PF3, RSQRTSS, F_SSE, 0, Wd) \
	U(0x53, NP, RCPPS, F_SSE, 0, Vx, Wx) S(0x53, PF3, RCPSS, F_SSE, 0, Wd) \
	P(0x54, NP, ANDPS, F_SSE, 0, Wx) P(0x54, P66, ANDPD, F_SSE2, 0, Wx) \
	P(0x55, NP, ANDNPS, F_SSE, 0, Wx) P(0x55, P66, ANDNPD, F_SSE2, 0, Wx) \
	P(0x56, NP, ORPS, F_SSE, 0, Wx) P(0x56, P66, ORPD, F_SSE2, 0, Wx) \
	P(0x57, NP, XORPS, F_SSE, 0, Wx) P(0x57, P66, XORPD, F_SSE2, 0, Wx) \
	FPOP(0x58, ADD) FPOP(0x59, MUL) \
	U(0x5a, NP, CVTPS2PD, F_SSE2, FP, Vx, Wxh) U(0x5a, P66, CVTPD2PS, F_SSE2, FP, Vdq, Wx) \
	S(0x5a, PF3, CVTSS2SD, F_SSE2, FP, Wd) S(0x5a, PF2, CVTSD2SS, F_SSE2, FP, Wq) \
	U(0x5b, NP, CVTDQ2PS, F_SSE2, FP, Vx, Wx) U(0x5b, P66, CVTPS2DQ, F_SSE2, FP, Vx, Wx) U(0x5b, PF3, CVTTPS2DQ, F_SSE2, FP, Vx, Wx) \
	FPOP(0x5c, SUB) FPOP(0x5d, MIN) FPOP(0x5e, DIV) FPOP(0x5f, MAX) \
	M(0x60, PUNPCKLBW, F_MMX, Qd) P(0x60, P66, PUNPCKLBW, F_SSE2, N, Wx) M(0x61, PUNPCKLWD, F_MMX, Qd) P(0x61, P66, PUNPCKLWD, F_SSE2, N, Wx) \
	M(0x62, PUNPCKLDQ, F_MMX, Qd) P(0x62, P66, PUNPCKLDQ, F_SSE2, N, Wx) \
	INT(0x63, PACKSSWB) INT(0x64, PCMPGTB) INT(0x65, PCMPGTW) INT(0x66, PCMPGTD) INT(0x67, PACKUSWB) \
	INT(0x68, PUNPCKHBW) INT(0x69, PUNPCKHWD) INT(0x6a, PUNPCKHDQ) INT(0x6b, PACKSSDW) \
	P(0x6c, P66, PUNPCKLQDQ, F_SSE2, N, Wx) P(0x6d, P66, PUNPCKHQDQ, F_SSE2, N, Wx) \
	LEGACY(0x6e, NP | W0, MOVD, F_MMX, E(Pq), E(Ey)) LEGACY(0x6e, NP | W1, MOVQ, F_MMX, E(Pq), E(Ey)) \
	LEGACY(0x6e, P66 | W0, MOVD, F_SSE2, E(Vdq), E(Ey)) LEGACY(0x6e, P66 | W1, MOVQ, F_SSE2, E(Vdq), E(Ey)) \
	VEX(0x6e, P66 | W1 | L0 | X64, VMOVQ, F_AVX, E(Vdq), E(Ey)) VEX(0x6e, P66 | L0, VMOVD, F_AVX, E(Vdq), E(Ed)) \
	LEGACY(0x6f, NP, MOVQ, F_MMX, E(Pq), E(Qq)) U(0x6f, P66, MOVDQA, F_SSE2, AL_, Vx, Wx) U(0x6f, PF3, MOVDQU, F_SSE2, UN, Vx, Wx) \
	LEGACY(0x70, NP, PSHUFW, F_SSE, E(Pq), E(Qq), E(Ib)) UI(0x70, P66, PSHUFD, F_SSE2, N, Vx, Wx) \
	UI(0x70, PF3, PSHUFHW, F_SSE2, N, Vx, Wx) UI(0x70, PF2, PSHUFLW, F_SSE2, N, Vx, Wx) \
	SHIFT_IMM(0x71, 2, PSRLW) SHIFT_IMM(0x71, 4, PSRAW) SHIFT_IMM(0x71, 6, PSLLW) \
	SHIFT_IMM(0x72, 2, PSRLD) SHIFT_IMM(0x72, 4, PSRAD) SHIFT_IMM(0x72, 6, PSLLD) \
	SHIFT_IMM(0x73, 2, PSRLQ) SHIFT_IMM(0x73, 6, PSLLQ) \
	LEGACY(0x73, P66 | D(3), PSRLDQ, F_SSE2, E(Udq), E(Ib)) LEGACY(0x73, P66 | D(7), PSLLDQ, F_SSE2, E(Udq), E(Ib)) \
	VEX(0x73, P66 | D(3), VPSRLDQ, F_AVX | N, E(Hx), E(Ux), E(Ib)) VEX(0x73, P66 | D(7), VPSLLDQ, F_AVX | N, E(Hx), E(Ux), E(Ib)) \
	INT(0x74, PCMPEQB) INT(0x75, PCMPEQW) INT(0x76, PCMPEQD) \
	LEGACY(0x77, NP, EMMS, F_MMX, 0) VEX(0x77, NP | L0, VZEROUPPER, F_AVX, 0) VEX(0x77, NP | L1, VZEROALL, F_AVX, 0) \
	P(0x7c, P66, HADDPD, F_SSE3, FP, Wx) P(0x7c, PF2, HADDPS, F_SSE3, FP, Wx) P(0x7d, P66, HSUBPD, F_SSE3, FP, Wx) P(0x7d, PF2, HSUBPS, F_SSE3, FP, Wx) \
	LEGACY(0x7e, NP | W0, MOVD, F_MMX, E(Ey), E(Pq)) LEGACY(0x7e, NP | W1, MOVQ, F_MMX, E(Ey), E(Pq)) \
	LEGACY(0x7e, P66 | W0, MOVD, F_SSE2, E(Ey), E(Vdq)) LEGACY(0x7e, P66 | W1, MOVQ, F_SSE2, E(Ey), E(Vdq)) \
	VEX(0x7e, P66 | W1 | L0 | X64, VMOVQ, F_AVX, E(Ey), E(Vdq)) VEX(0x7e, P66 | L0, VMOVD, F_AVX, E(Ed), E(Vdq)) \
	LEGACY(0x7e, PF3, MOVQ, F_SSE2, E(Vdq), E(Wq)) VEX(0x7e, PF3 | L0, VMOVQ, F_AVX, E(Vdq), E(Wq)) \
	LEGACY(0x7f, NP, MOVQ, F_MMX, E(Qq), E(Pq)) U(0x7f, P66, MOVDQA, F_SSE2, AL_, Wx, Vx) U(0x7f, PF3, MOVDQU, F_SSE2, UN, Wx, Vx) \
	VEX(0xae, NP | L0 | D(2), VLDMXCSR, F_AVX, E(Md)) VEX(0xae, NP | L0 | D(3), VSTMXCSR, F_AVX, E(Md)) \
	PI(0xc2, NP, CMPPS, F_SSE, FP, Wx) PI(0xc2, P66, CMPPD, F_SSE2, FP, Wx) SI(0xc2, PF3, CMPSS, F_SSE, FP, Wd) SI(0xc2, PF2, CMPSD, F_SSE2, FP, Wq) \
	LEGACY(0xc4, NP, PINSRW, F_SSE, E(Pq), E(EdMw), E(Ib)) LEGACY(0xc4, P66, PINSRW, F_SSE2, E(Vdq), E(EdMw), E(Ib)) \
	VEX(0xc4, P66 | L0, VPINSRW, F_AVX, E(Vdq), E(Hdq), E(EdMw), E(Ib)) \
	LEGACY(0xc5, NP, PEXTRW, F_SSE, E(Gd), E(Nq), E(Ib)) LEGACY(0xc5, P66, PEXTRW, F_SSE2, E(Gd), E(Udq), E(Ib)) \
	VEX(0xc5, P66 | L0, VPEXTRW, F_AVX, E(Gd), E(Udq), E(Ib)) \
	PI(0xc6, NP, SHUFPS, F_SSE, 0, Wx) PI(0xc6, P66, SHUFPD, F_SSE2, 0, Wx) \
	P(0xd0, P66, ADDSUBPD, F_SSE3, FP, Wx) P(0xd0, PF2, ADDSUBPS, F_SSE3, FP, Wx) \
	INTW(0xd1, PSRLW) INTW(0xd2, PSRLD) INTW(0xd3, PSRLQ) INT(0xd4, PADDQ) INT(0xd5, PMULLW) \
	LEGACY(0xd6, P66, MOVQ, F_SSE2, E(Wq), E(Vdq)) VEX(0xd6, P66 | L0, VMOVQ, F_AVX, E(Wq), E(Vdq)) \
	LEGACY(0xd6, PF3, MOVQ2DQ, F_SSE2, E(Vdq), E(Nq)) LEGACY(0xd6, PF2, MOVDQ2Q, F_SSE2, E(Pq), E(Udq)) \
	LEGACY(0xd7, NP, PMOVMSKB, F_SSE, E(Gd), E(Nq)) U(0xd7, P66, PMOVMSKB, F_SSE2, N, Gd, Ux) \
	INT(0xd8, PSUBUSB) INT(0xd9, PSUBUSW) INT(0xda, PMINUB) INT(0xdb, PAND) INT(0xdc, PADDUSB) INT(0xdd, PADDUSW) INT(0xde, PMAXUB) INT(0xdf, PANDN) \
	INT(0xe0, PAVGB) INTW(0xe1, PSRAW) INTW(0xe2, PSRAD) INT(0xe3, PAVGW) INT(0xe4, PMULHUW) INT(0xe5, PMULHW) \
	U(0xe6, P66, CVTTPD2DQ, F_SSE2, FP, Vdq, Wx) U(0xe6, PF3, CVTDQ2PD, F_SSE2, FP, Vx, Wxh) U(0xe6, PF2, CVTPD2DQ, F_SSE2, FP, Vdq, Wx) \
	LEGACY(0xe7, NP, MOVNTQ, F_SSE, E(Mq), E(Pq)) U(0xe7, P66, MOVNTDQ, F_SSE2, AL_, Mx, Vx) \
	INT(0xe8, PSUBSB) INT(0xe9, PSUBSW) INT(0xea, PMINSW) INT(0xeb, POR) INT(0xec, PADDSB) INT(0xed, PADDSW) INT(0xee, PMAXSW) INT(0xef, PXOR) \
	U(0xf0, PF2, LDDQU, F_SSE3, UN, Vx, Mx) \
	INTW(0xf1, PSLLW) INTW(0xf2, PSLLD) INTW(0xf3, PSLLQ) INT(0xf4, PMULUDQ) INT(0xf5, PMADDWD) INT(0xf6, PSADBW) \
	LEGACY(0xf7, NP, MASKMOVQ, F_SSE, E(Pq), E(Nq)) LEGACY(0xf7, P66, MASKMOVDQU, F_SSE2, E(Vdq), E(Udq)) VEX(0xf7, P66 | L0, VMASKMOVDQU, F_AVX, E(Vdq), E(Udq)) \
	INT(0xf8, PSUBB) INT(0xf9, PSUBW) INT(0xfa, PSUBD) INT(0xfb, PSUBQ) INT(0xfc, PADDB) INT(0xfd, PADDW) INT(0xfe, PADDD)

#define SSSE3(code, name) M(code, name, F_SSSE3, Qq) P(code, P66, name, F_SSSE3, N, Wx)
#define SSSE3U(code, name) LEGACY(code, NP, name, F_SSSE3, E(Pq), E(Qq)) U(code, P66, name, F_SSSE3, N, Vx, Wx)
#define S41(code, name) P(code, P66, name, F_SSE41, N, Wx)
#define BLENDV(code, name) LEGACY(code, P66, name, F_SSE41, E(Vdq), E(Wdq))
#define EXTEND(code, name, w) U(code, P66, name, F_SSE41, N | UN, Vx, w)
#define VW(code, w, name, feature, ...) VEX(code, P66 | (w), name, feature, __VA_ARGS__)
#define FMA_PS(code, name) VEX(code, P66 | W0, name##PS, F_FMA | FP, E(Vx), E(Hx), E(Wx)) VEX(code, P66 | W1, name##PD, F_FMA | FP, E(Vx), E(Hx), E(Wx))
#define FMA_SS(code, name) VEX(code, P66 | W0, name##SS, F_FMA | FP, E(Vdq), E(Hdq), E(Wd)) VEX(code, P66 | W1, name##SD, F_FMA | FP, E(Vdq), E(Hdq), E(Wq))
#define FMAS(h, g, order) \
	FMA_PS(0x##h##6, VFMADDSUB##order) FMA_PS(0x##h##7, VFMSUBADD##order) \
	FMA_PS(0x##g##8, VFMADD##order) FMA_SS(0x##g##9, VFMADD##order) FMA_PS(0x##g##a, VFMSUB##order) FMA_SS(0x##g##b, VFMSUB##order) \
	FMA_PS(0x##g##c, VFNMADD##order) FMA_SS(0x##g##d, VFNMADD##order) FMA_PS(0x##g##e, VFNMSUB##order) FMA_SS(0x##g##f, VFNMSUB##order)

#define SSE_0F38_ROWS \
	SSSE3(0x00, PSHUFB) SSSE3(0x01, PHADDW) SSSE3(0x02, PHADDD) SSSE3(0x03, PHADDSW) SSSE3(0x04, PMADDUBSW) SSSE3(0x05, PHSUBW) \
	SSSE3(0x06, PHSUBD) SSSE3(0x07, PHSUBSW) SSSE3(0x08, PSIGNB) SSSE3(0x09, PSIGNW) SSSE3(0x0a, PSIGND) SSSE3(0x0b, PMULHRSW) \
	VW(0x0c, W0, VPERMILPS, F_AVX, E(Vx), E(Hx), E(Wx)) VW(0x0d, W0, VPERMILPD, F_AVX, E(Vx), E(Hx), E(Wx)) \
	VW(0x0e, W0, VTESTPS, F_AVX, E(Vx), E(Wx)) VW(0x0f, W0, VTESTPD, F_AVX, E(Vx), E(Wx)) \
	BLENDV(0x10, PBLENDVB) VW(0x13, W0, VCVTPH2PS, F_F16C | FP, E(Vx), E(Wxh)) BLENDV(0x14, BLENDVPS) BLENDV(0x15, BLENDVPD) \
	VW(0x16, W0 | L1, VPERMPS, F_AVX2, E(Vx), E(Hx), E(Wx)) U(0x17, P66, PTEST, F_SSE41, 0, Vx, Wx) \
	VW(0x18, W0 | MEM, VBROADCASTSS, F_AVX, E(Vx), E(Wd)) VW(0x18, W0, VBROADCASTSS, F_AVX2, E(Vx), E(Wd)) \
	VW(0x19, W0 | L1 | MEM, VBROADCASTSD, F_AVX, E(Vx), E(Wq)) VW(0x19, W0 | L1, VBROADCASTSD, F_AVX2, E(Vx), E(Wq)) \
	VW(0x1a, W0 | L1, VBROADCASTF128, F_AVX, E(Vx), E(Mdq)) \
	SSSE3U(0x1c, PABSB) SSSE3U(0x1d, PABSW) SSSE3U(0x1e, PABSD) \
	EXTEND(0x20, PMOVSXBW, Wxh) EXTEND(0x21, PMOVSXBD, Wxq) EXTEND(0x22, PMOVSXBQ, Wxe) EXTEND(0x23, PMOVSXWD, Wxh) EXTEND(0x24, PMOVSXWQ, Wxq) EXTEND(0x25, PMOVSXDQ, Wxh) \
	S41(0x28, PMULDQ) S41(0x29, PCMPEQQ) U(0x2a, P66, MOVNTDQA, F_SSE41, N | AL_, Vx, Mx) S41(0x2b, PACKUSDW) \
	VW(0x2c, W0, VMASKMOVPS, F_AVX, E(Vx), E(Hx), E(Mx)) VW(0x2d, W0, VMASKMOVPD, F_AVX, E(Vx), E(Hx), E(Mx)) \
	VW(0x2e, W0, VMASKMOVPS, F_AVX, E(Mx), E(Hx), E(Vx)) VW(0x2f, W0, VMASKMOVPD, F_AVX, E(Mx), E(Hx), E(Vx)) \
	EXTEND(0x30, PMOVZXBW, Wxh) EXTEND(0x31, PMOVZXBD, Wxq) EXTEND(0x32, PMOVZXBQ, Wxe) EXTEND(0x33, PMOVZXWD, Wxh) EXTEND(0x34, PMOVZXWQ, Wxq) EXTEND(0x35, PMOVZXDQ, Wxh) \
	VW(0x36, W0 | L1, VPERMD, F_AVX2, E(Vx), E(Hx), E(Wx)) P(0x37, P66, PCMPGTQ, F_SSE42, N, Wx) \
	S41(0x38, PMINSB) S41(0x39, PMINSD) S41(0x3a, PMINUW) S41(0x3b, PMINUD) S41(0x3c, PMAXSB) S41(0x3d, PMAXSD) S41(0x3e, PMAXUW) S41(0x3f, PMAXUD) \
	S41(0x40, PMULLD) LEGACY(0x41, P66, PHMINPOSUW, F_SSE41, E(Vdq), E(Wdq)) VEX(0x41, P66 | L0, VPHMINPOSUW, F_AVX, E(Vdq), E(Wdq)) \
	VW(0x45, W0, VPSRLVD, F_AVX2, E(Vx), E(Hx), E(Wx)) VW(0x45, W1, VPSRLVQ, F_AVX2, E(Vx), E(Hx), E(Wx)) VW(0x46, W0, VPSRAVD, F_AVX2, E(Vx), E(Hx), E(Wx)) \
	VW(0x47, W0, VPSLLVD, F_AVX2, E(Vx), E(Hx), E(Wx)) VW(0x47, W1, VPSLLVQ, F_AVX2, E(Vx), E(Hx), E(Wx)) \
	VW(0x58, W0, VPBROADCASTD, F_AVX2, E(Vx), E(Wd)) VW(0x59, W0, VPBROADCASTQ, F_AVX2, E(Vx), E(Wq)) VW(0x5a, W0 | L1, VBROADCASTI128, F_AVX2, E(Vx), E(Mdq)) \
	VW(0x78, W0, VPBROADCASTB, F_AVX2, E(Vx), E(Wb)) VW(0x79, W0, VPBROADCASTW, F_AVX2, E(Vx), E(Ww)) \
	LEGACY(0x82, P66, INVPCID, F_INVPCID, E(Gn), E(Mdq)) \
	VW(0x8c, W0, VPMASKMOVD, F_AVX2, E(Vx), E(Hx), E(Mx)) VW(0x8c, W1, VPMASKMOVQ, F_AVX2, E(Vx), E(Hx), E(Mx)) \
	VW(0x8e, W0, VPMASKMOVD, F_AVX2, E(Mx), E(Hx), E(Vx)) VW(0x8e, W1, VPMASKMOVQ, F_AVX2, E(Mx), E(Hx), E(Vx)) \
	VW(0x90, W0, VPGATHERDD, F_AVX2, E(Vx), E(VMdx), E(Hx)) VW(0x90, W1, VPGATHERDQ, F_AVX2, E(Vx), E(VMdq), E(Hx)) \
	VW(0x91, W0, VPGATHERQD, F_AVX2, E(Vdq), E(VMqd), E(Hdq)) VW(0x91, W1, VPGATHERQQ, F_AVX2, E(Vx), E(VMqx), E(Hx)) \
	VW(0x92, W0, VGATHERDPS, F_AVX2, E(Vx), E(VMdx), E(Hx)) VW(0x92, W1, VGATHERDPD, F_AVX2, E(Vx), E(VMdq), E(Hx)) \
	VW(0x93, W0, VGATHERQPS, F_AVX2, E(Vdq), E(VMqd), E(Hdq)) VW(0x93, W1, VGATHERQPD, F_AVX2, E(Vx), E(VMqx), E(Hx)) \
	FMAS(9, 9, 132) FMAS(a, a, 213) FMAS(b, b, 231) \
	LEGACY(0xc8, NP, SHA1NEXTE, F_SHA | UN, E(Vdq), E(Wdq)) LEGACY(0xc9, NP, SHA1MSG1, F_SHA | UN, E(Vdq), E(Wdq)) LEGACY(0xca, NP, SHA1MSG2, F_SHA | UN, E(Vdq), E(Wdq)) \
	LEGACY(0xcb, NP, SHA256RNDS2, F_SHA | UN, E(Vdq), E(Wdq)) LEGACY(0xcc, NP, SHA256MSG1, F_SHA | UN, E(Vdq), E(Wdq)) LEGACY(0xcd, NP, SHA256MSG2, F_SHA | UN, E(Vdq), E(Wdq)) \
	LEGACY(0xdb, P66, AESIMC, F_AES, E(Vdq), E(Wdq)) VEX(0xdb, P66 | L0, VAESIMC, F_AES, E(Vdq), E(Wdq)) \
	P(0xdc, P66, AESENC, F_AES, 0, Wx) P(0xdd, P66, AESENCLAST, F_AES, 0, Wx) P(0xde, P66, AESDEC, F_AES, 0, Wx) P(0xdf, P66, AESDECLAST, F_AES, 0, Wx) \
	LEGACY(0xf0, PF2, CRC32, F_CRC32, E(Gy), E(Eb)) LEGACY(0xf0, NP | P66, MOVBE, F_MOVBE, E(Gv), E(Mv)) \
	LEGACY(0xf1, PF2, CRC32, F_CRC32, E(Gy), E(Ev)) LEGACY(0xf1, NP | P66, MOVBE, F_MOVBE, E(Mv), E(Gv)) \
	VEX(0xf2, NP | L0, ANDN, F_BMI1, E(Gy), E(By), E(Ey)) \
	VEX(0xf3, NP | L0 | D(1), BLSR, F_BMI1, E(By), E(Ey)) VEX(0xf3, NP | L0 | D(2), BLSMSK, F_BMI1, E(By), E(Ey)) VEX(0xf3, NP | L0 | D(3), BLSI, F_BMI1, E(By), E(Ey)) \
	VEX(0xf5, NP | L0, BZHI, F_BMI2, E(Gy), E(Ey), E(By)) VEX(0xf5, PF3 | L0, PEXT, F_BMI2, E(Gy), E(By), E(Ey)) VEX(0xf5, PF2 | L0, PDEP, F_BMI2, E(Gy), E(By), E(Ey)) \
	LEGACY(0xf6, P66, ADCX, F_ADX, E(Gy), E(Ey)) LEGACY(0xf6, PF3, ADOX, F_ADX, E(Gy), E(Ey)) VEX(0xf6, PF2 | L0, MULX, F_BMI2, E(Gy), E(By), E(Ey)) \
	VEX(0xf7, NP | L0, BEXTR, F_BMI1, E(Gy), E(Ey), E(By)) VEX(0xf7, P66 | L0, SHLX, F_BMI2, E(Gy), E(Ey), E(By)) \
	VEX(0xf7, PF3 | L0, SARX, F_BMI2, E(Gy), E(Ey), E(By)) VEX(0xf7, PF2 | L0, SHRX, F_BMI2, E(Gy), E(Ey), E(By))

#define INSERT(code, w, name, feature, src) \
	LEGACY(code, P66 | (w), name, feature, E(Vdq), E(src), E(Ib)) VEX(code, P66 | L0 | (w), V##name, F_AVX, E(Vdq), E(Hdq), E(src), E(Ib))
#define EXTRACT(code, w, name, feature, dst) \
	LEGACY(code, P66 | (w), name, feature, E(dst), E(Vdq), E(Ib)) VEX(code, P66 | L0 | (w), V##name, F_AVX, E(dst), E(Vdq), E(Ib))
#define STRING(code, name) LEGACY(code, P66, name, F_SSE42 | UN, E(Vdq), E(Wdq), E(Ib)) VEX(code, P66 | L0, V##name, F_AVX, E(Vdq), E(Wdq), E(Ib))

#define SSE_0F3A_ROWS \
	VW(0x00, W1 | L1, VPERMQ, F_AVX2, E(Vx), E(Wx), E(Ib)) VW(0x01, W1 | L1, VPERMPD, F_AVX2, E(Vx), E(Wx), E(Ib)) \
	VW(0x02, W0, VPBLENDD, F_AVX2, E(Vx), E(Hx), E(Wx), E(Ib)) VW(0x04, W0, VPERMILPS, F_AVX, E(Vx), E(Wx), E(Ib)) VW(0x05, W0, VPERMILPD, F_AVX, E(Vx), E(Wx), E(Ib)) \
	VW(0x06, W0 | L1, VPERM2F128, F_AVX, E(Vx), E(Hx), E(Wx), E(Ib)) \
	UI(0x08, P66, ROUNDPS, F_SSE41, FP, Vx, Wx) UI(0x09, P66, ROUNDPD, F_SSE41, FP, Vx, Wx) SI(0x0a, P66, ROUNDSS, F_SSE41, FP, Wd) SI(0x0b, P66, ROUNDSD, F_SSE41, FP, Wq) \
	PI(0x0c, P66, BLENDPS, F_SSE41, 0, Wx) PI(0x0d, P66, BLENDPD, F_SSE41, 0, Wx) PI(0x0e, P66, PBLENDW, F_SSE41, N, Wx) \
	LEGACY(0x0f, NP, PALIGNR, F_SSSE3, E(Pq), E(Qq), E(Ib)) PI(0x0f, P66, PALIGNR, F_SSSE3, N, Wx) \
	EXTRACT(0x14, 0, PEXTRB, F_SSE41, EdMb) EXTRACT(0x15, 0, PEXTRW, F_SSE41, EdMw) \
	LEGACY(0x16, P66 | W1 | X64, PEXTRQ, F_SSE41, E(Eq), E(Vdq), E(Ib)) LEGACY(0x16, P66, PEXTRD, F_SSE41, E(Ed), E(Vdq), E(Ib)) \
	VEX(0x16, P66 | L0 | W1 | X64, VPEXTRQ, F_AVX, E(Eq), E(Vdq), E(Ib)) VEX(0x16, P66 | L0, VPEXTRD, F_AVX, E(Ed), E(Vdq), E(Ib)) \
	EXTRACT(0x17, 0, EXTRACTPS, F_SSE41, Ed) \
	VW(0x18, W0 | L1, VINSERTF128, F_AVX, E(Vx), E(Hx), E(Wdq), E(Ib)) VW(0x19, W0 | L1, VEXTRACTF128, F_AVX, E(Wdq), E(Vx), E(Ib)) \
	VW(0x1d, W0, VCVTPS2PH, F_F16C | FP, E(Wxh), E(Vx), E(Ib)) \
	INSERT(0x20, 0, PINSRB, F_SSE41, EdMb) INSERT(0x21, 0, INSERTPS, F_SSE41, Wd) \
	LEGACY(0x22, P66 | W1 | X64, PINSRQ, F_SSE41, E(Vdq), E(Eq), E(Ib)) LEGACY(0x22, P66, PINSRD, F_SSE41, E(Vdq), E(Ed), E(Ib)) \
	VEX(0x22, P66 | L0 | W1 | X64, VPINSRQ, F_AVX, E(Vdq), E(Hdq), E(Eq), E(Ib)) VEX(0x22, P66 | L0, VPINSRD, F_AVX, E(Vdq), E(Hdq), E(Ed), E(Ib)) \
	VW(0x38, W0 | L1, VINSERTI128, F_AVX2, E(Vx), E(Hx), E(Wdq), E(Ib)) VW(0x39, W0 | L1, VEXTRACTI128, F_AVX2, E(Wdq), E(Vx), E(Ib)) \
	PI(0x40, P66, DPPS, F_SSE41, FP, Wx) \
	LEGACY(0x41, P66, DPPD, F_SSE41 | FP, E(Vdq), E(Wdq), E(Ib)) VEX(0x41, P66 | L0, VDPPD, F_AVX | FP, E(Vdq), E(Hdq), E(Wdq), E(Ib)) \
	PI(0x42, P66, MPSADBW, F_SSE41, N, Wx) PI(0x44, P66, PCLMULQDQ, F_PCLMUL, 0, Wx) \
	VW(0x46, W0 | L1, VPERM2I128, F_AVX2, E(Vx), E(Hx), E(Wx), E(Ib)) \
	VW(0x4a, W0, VBLENDVPS, F_AVX, E(Vx), E(Hx), E(Wx), E(Lx)) VW(0x4b, W0, VBLENDVPD, F_AVX, E(Vx), E(Hx), E(Wx), E(Lx)) VW(0x4c, W0, VPBLENDVB, F_AVX | N, E(Vx), E(Hx), E(Wx), E(Lx)) \
	STRING(0x60, PCMPESTRM) STRING(0x61, PCMPESTRI) STRING(0x62, PCMPISTRM) STRING(0x63, PCMPISTRI) \
	LEGACY(0xcc, NP, SHA1RNDS4, F_SHA | UN, E(Vdq), E(Wdq), E(Ib)) \
	LEGACY(0xdf, P66, AESKEYGENASSIST, F_AES, E(Vdq), E(Wdq), E(Ib)) VEX(0xdf, P66 | L0, VAESKEYGENASSIST, F_AES, E(Vdq), E(Wdq), E(Ib)) \
	VEX(0xf0, PF2 | L0, RORX, F_BMI2, E(Gy), E(Ey), E(Ib))
/* clang-format on */
