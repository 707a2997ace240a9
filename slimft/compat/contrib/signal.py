"""tf.contrib.signal, which is tf.signal now (TF 1.15: contrib/signal/__init__.py)."""

from slimft.compat import tf

_NAMES = (
    "frame hamming_window hann_window inverse_stft inverse_stft_window_fn linear_to_mel_weight_matrix "
    "mfccs_from_log_mel_spectrograms overlap_and_add stft"
).split()
globals().update({name: getattr(tf.signal, name) for name in _NAMES})
