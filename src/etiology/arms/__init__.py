"""Repairs side by side for anybody's model and corpus: ``etiology arms``.

A study (etiology.study) asks whether named documents caused a behaviour. Here the documents are given, and the question
is what repairs the model at the least cost: each arm gets as many tokens and steps, and each shows what else changed.
"""
